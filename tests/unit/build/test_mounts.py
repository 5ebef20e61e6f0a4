from __future__ import annotations

import pytest

from knarr.build.dockerfile.fault import Fault
from knarr.build.dockerfile.mounts import Mount, parse_mount


def parse(text: str) -> Mount:
    return parse_mount(text, lambda word: word.replace("$X", "expanded"))


SECRET = Mount(type="secret", id="s", required=True, mode=0o440, uid=1, gid=2, target="/a,b")
CACHE = Mount(type="cache", readonly=False, id="expanded", sharing="locked", target="/c")


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("target=/x", Mount(target="/x")),
        ("type=cache,dst=/c,rw=false", Mount(type="cache", target="/c", readonly=True)),
        ("type=TMPFS,size=64m", Mount(type="tmpfs", readonly=False, size=64 << 20)),
        ("from=a,src=/s,rw", Mount(origin="a", source="/s", readonly=False)),
        ('type=secret,id=s,required,mode=0440,uid=1,gid=2,"target=/a,b"', SECRET),
        ("type=cache,id=$X,sharing=locked,target=/c", CACHE),
    ],
)
def test_mounts(text: str, mount: Mount) -> None:
    assert parse(text) == mount


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=bnid", 'unsupported mount type "bnid" (did you mean bind?)'),
        ("tagret=/x", "unexpected key 'tagret' in 'tagret=/x' (did you mean target?)"),
        ("target", "invalid field 'target' must be a key=value pair"),
        ("size=1", "unexpected key 'size' for mount type 'bind'"),
        ("type=tmpfs,size=lots", "invalid value for size: lots"),
        ("type=cache,sharing=open", 'unsupported sharing value "open"'),
        ("sharing=locked,target=/x", "invalid cache sharing set for bind mount"),
        ("required", "unexpected key 'required' for mount type 'bind'"),
        ("uid=1,target=/x", 'uid not allowed for "bind" type mounts'),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,id=a,source=b", "both source and id can't be set"),
        ("type=cache,mode=9", "invalid value 9 for mode"),
        ("ro=perhaps", "invalid value for ro: perhaps"),
        ('"open', "failed to parse csv mounts"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(Fault) as caught:
        parse(text)
    assert message in str(caught.value)
