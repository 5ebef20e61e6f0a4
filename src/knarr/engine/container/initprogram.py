"""The program behind `--init`: process 1 of a container, which reaps what its program leaves.

It is a file of the host, bound into the container, and needs nothing that an image may lack. What
is here was compiled from `initprogram.c` beside this file, for each architecture by its gcc:

    gcc -Os -ffreestanding -fno-builtin -nostdlib -static -fno-pie -no-pie -fno-stack-protector \\
        -fno-asynchronous-unwind-tables -fcf-protection=none -s initprogram.c \\
        -Wl,-n,--build-id=none,-z,noseparate-code,-z,noexecstack
    objcopy -R .comment -R .note.gnu.property

(`-fcf-protection` is for x86_64 alone.) A program of Python would not do: /proc/1/exe would be the
host's interpreter, seen from within the container.

Docker: docker-init, which is tini
"""

from __future__ import annotations

import os

from knarr.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.engine.paths import Paths


def place_program(paths: Paths) -> str:
    """Return the path of the program for this machine, written there now if it is not.

    Raises: Unsupported
    """
    import base64  # noqa: PLC0415 - for few containers
    import zlib  # noqa: PLC0415

    from knarr.oci.digest import digest_of  # noqa: PLC0415
    from knarr.util.files import write_atomically  # noqa: PLC0415

    machine = os.uname().machine
    packed = PROGRAMS.get(machine)
    if packed is None:
        message = f"there is no init program for the architecture {machine}"
        raise Unsupported(message, hint="Leave --init out: the image may have an init of its own.")
    program = zlib.decompress(base64.b85decode("".join(packed.split())))
    directory = f"{paths.root}/init"
    path = f"{directory}/{digest_of(program).short}"
    if not os.path.exists(path):
        os.makedirs(directory, 0o711, exist_ok=True)
        write_atomically(path, program, mode=0o755)
    return path


PROGRAMS = {
    "x86_64": """
        c-o~@&2Jk;6rZ)%uE_`9NC??*=qj?*Q*Eu3Ly{(yN3vm7Y!Ox6a-ab@_Et4Y?aH2oRD#6q)*=&Y{|_!8!~wZTshx(p
        1aa~KAw_&upgL@5BTCyuYO}mquPf35LSm$yH}k%Jzj<$V7Sq~GK0!eJ;X_9e-+h9T?mp@1KNKIkfNmW8l1M~;*Eit$
        _eMXiFTeAneNyuLj{idQLG<58KTi3Luv^6ZdAmCU(D)Q#zZ15NPvXo;!XBL<7q^ze2x;|0T0L~Ewoc=?I`Nt@imMj{
        Y`h4<moc6L;U~s02yxm7s^)6I9wKHdWPgRPoEMWwV?Qp3F0a$k>Tbe_q?JxuX*G@jx(3+nb~v#45p0OlvcFYtT;FpX
        hgk2$mhe^XqpaiV)DWTp;;h<#C>wZLj9zZhXQn2(YR$ewtkj^7O!FhXdt7Oei8VTmm&b(U(%1o>^ER=@4wBji4Yh*_
        V$p+w(n>FjVroeYf}KpPR<?VbG`8*1A?D5=4Z^%-_%+rA{3xQs$1E)>sO<XY+nnIVFL+_zn8By<41RNsusx+yoqFEo
        dCk7(9g?@R>4Pa8Si`R?9hL3kQ*L!n5bG_8m|HT`mfT3iBuMJ8Of00D4~2y&slO~$#}6A)bzV4Z3{>ZR$PghUvhpls
        !z(-|04N>&d5G7Jb>U<&Nn>}y0l;pIbKnuz@=Z9PvNox;!nKciJ>i%SG<IL(oleCfjdL!&#vxZ+l`;r{dWcw=*ib`q
        m5(tXJr4t<NI39{MSqeA`=Q%@<Ty<U`mD0m?p<gfsUPXuAXRhst})V#fT_Cy`{n|qv0rG$xv#mqXKXgp+}7l_Mb53`
        )$LZFIlfZmOY3wjv@#7V)%@DQE4-|@dDM;Qk#oEECBHV38%N;8=FW)mYA>P79q!uq8v7NDwbnvgooE|3>#10XT{CYk
        (n0Hzi<H~3gW=B}lAQB28T(UWC2hznyz>F6-CwxWzcxEiQn<w>XyFt8nLe-QCgo8yIw_ym%jXJ}N}*Jg^LnwM=Lfhp
        mn{}cRG!sk?rKm^T`b8JBX?FlQ<&4`Qd!Oy%6g8L$`=Oq=T8`wa$>HO%g!Zc3&qLa#C5PhC|)^Rp=Fw#MRBUnQxq?k
        @>!Zi|9=d^$GZ@G>Yei5BmaJX;feSWPv`5uM`F^Gz5V<D@Lv5jpZ{-oSzde;{X71jW^<4s
    """,
    "aarch64": """
        c-o~@Uuaup6#sp>_jXBFyVgXk6wOVyK@n;9&_XOiZimi3_@E;XJ_y@wa!bP6WcgF5Q}NbL*zC)06$C+D8A=WKXVS4%
        lr9LPFB6&-pG1?D;V_B@6wRbw&&j=+Z8lKw!gtS~?{~iQJLfxmFF*0rA&(GfejZ!|Tc1E{*qZBKQf@=Y7bctr1#$zc
        H1N*XjBCmb89Suc#XWN)A8*5d|GHfHAk0!(f^`yj!w0SYy@bMbNfgSoB(mp#3leZ<;*o&W4Fq&(k47|+S(FjgWzuDl
        8D-r|`qLs)kx1_#T@{&G*1Jgm6`2s}69HId$yX3`M#Y2ShhZ*M74tBNLnwJPEZQ-wkX}p};mA#7_Vs8d7JY~cFRT!h
        `G~C5PLs|1WvRU&d>DF9hINJZezxuVp~AXGGV(bxbOq6+Uarkos7Sl07PBPNqW*4NmX3T)t+u}97?Pa3Xxn$>u3%^G
        HL5`nhWZ@fyuVTWmkB+*c`OtTk-Z90owe=gW^DibtHAO(@>P%R4{yfy&U4(pq#lkZ9Bc%ro+d2!p7}A??Hq$%oR@o|
        pN$d+u9bNe;ne#B-4WN!eOo6E_Abq8*7OnCjQN-(`)F^SdqVe8@DN^2jEBp>u-9vrH0;dD_=6PtJK=vK{MHL!d~ky$
        aeQAH{e$u?*u7XO`%(W+Ms13EeAcVg`934d$Ta#TJNhi?pqZel9sckr)i?+1W|xzbc}U`)yr-yk)x)~OhkZX%URA+`
        F~3=&TdFs3_n9TQ`%98px}Jk2UU{ul4q~P0=Ny%Du(s!6f6>dccTZulL(Ctt?KinD8vipW-)pUqeO74oizHWva9&r4
        JMY17eM-K|d(6_>Zik<zrDtWTtG|2O-nP29=fTHOqx+6lVz5rB4gL##EoTIQ+SM&P`mR8=_?I26^lB@dudfGL4W91M
        V`JC&Y`mzwuEKmvxN%jwr&XF06E5Fp{niH0H0#TLYmT^=_c${`h;^E|8rDW{C2#TEbrkx$93EfMzA<COM$|s^ji|?s
        >{K$BOQut5+(;#jcsqMzdMcI9tK){s(CNJEPNmh{bS$AxBqt3uomJz>tP#tnv(L9<a5|SAoJ_~`$-(htYQ*`mkCfZ*
        k2rA{^2|e`w<CxivU$z?Y1`lML-<mssb)LzBnie3(F$+b_5n9GKx>RvlzhK1{$S^Ux7*%PFpx{+^4YvTj)A-}lgB_d
        9oO?Z28_g!iL5?l;D3L+nLDkvJKkycU6yy^TTFDj@gCQ{Bx|m8?BgwX(PBT)65p?Au5|3@TJYYxoG0C-u9I&3-have
        HwBW&hX
    """,
}
