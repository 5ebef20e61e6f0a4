from __future__ import annotations

import pytest

from knarr.build.dockerfile.fault import Fault
from knarr.build.dockerfile.words import Lexer

VARIABLES = {"A": "alpha", "PATH": "/usr/bin:/bin", "EMPTY": "", "FILE": "dir/sub/name.tar.gz"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$A-$B", "alpha-"),
        ("${A}s", "alphas"),
        ("\\$A", "$A"),
        ("'$A' \"$A\"", "$A alpha"),
        ('"a\\"b\\c"', 'a"b\\c'),
        ("a\\ b", "a b"),
        ("${B:-x}${EMPTY:-y}${EMPTY-z}", "xy"),
        ("${A:+set}${B:+unset}${EMPTY+empty}", "setempty"),
        ("${B:-${A:+in}${A}}", "inalpha"),
        ("${FILE#*/}", "sub/name.tar.gz"),
        ("${FILE##*/}", "name.tar.gz"),
        ("${FILE%.*}", "dir/sub/name.tar"),
        ("${FILE%%.*}", "dir/sub/name"),
        ("${FILE/a?/_}", "dir/sub/n_e.tar.gz"),
        ("${FILE//\\//+}", "dir+sub+name.tar.gz"),
        ("${PATH//:/ }", "/usr/bin /bin"),
        ("$1$@$", "$"),
        ("ends\\", "ends"),
    ],
)
def test_expansion(text: str, expected: str) -> None:
    assert Lexer().expand(text, VARIABLES).text == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"open', "looking for matching double-quote"),
        ("'open", "looking for matching single-quote"),
        ("${A", "syntax error: missing '}'"),
        ("${A:-x", "syntax error: missing '}'"),
        ("${A/x}", "syntax error: missing '/' in ${}"),
        ("${}", "syntax error: bad substitution"),
        ("${A=x}", "unsupported modifier (=) in substitution"),
        ("${A:#x}", "unsupported modifier (:#) in substitution"),
        ("${B?must be given}", "B: must be given"),
        ("${B?}", "B: is not allowed to be unset"),
        ("${EMPTY:?}", "EMPTY: is not allowed to be empty"),
        ("${A#\\x}", "invalid escape '\\x'"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(Fault) as caught:
        Lexer().expand(text, VARIABLES)
    assert message in str(caught.value)
    assert f'failed to process "{text}"' in str(caught.value)


def test_words_split_at_blanks_outside_quotes_after_expansion() -> None:
    found = Lexer().expand("a $L 'b c' d\\ e \"\"", {"L": "x  y"})
    assert found.words == ("a", "x", "y", "b c", "d e")


def test_variables_that_were_used_and_missed() -> None:
    found = Lexer().expand("$A ${B:-$C} ${EMPTY}", VARIABLES)
    assert found.used == {"A", "EMPTY"}
    assert found.missing == {"B", "C"}


def test_keeping_things_as_written() -> None:
    lexer = Lexer(keep_quotes=True, keep_escapes=True, keep_unset=True)
    text = "'a' \"b\\x\" c\\d $B ${B:-w}"
    assert lexer.expand(text, VARIABLES).text == text


def test_other_escape_character() -> None:
    assert Lexer(escape="`").expand("C:\\x `$A", VARIABLES).text == "C:\\x $A"


def test_quotes_as_ordinary_letters() -> None:
    assert Lexer(ignore_quotes=True).expand('it\'s "$A"', VARIABLES).text == 'it\'s "alpha"'
