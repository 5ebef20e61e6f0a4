from __future__ import annotations

import pytest

from knarr.cli.command import Command, Misuse, Option
from knarr.cli.options import check, parse

COMMAND = Command(
    short="Test",
    usage="[OPTIONS] THING",
    options=(
        Option("interactive", "", short="i"),
        Option("tty", "", short="t"),
        Option("human", "", default=True),
        Option("name", "", kind="string"),
        Option("publish", "", kind="list", short="p"),
        Option("signal", "", kind="list", default=["TERM"]),
        Option("timeout", "", kind="int", short="n", aliases=("time",)),
        Option("last", "", kind="int", default=-1),
        Option("memory", "", kind="bytes", short="m"),
        Option("interval", "", kind="duration"),
        Option("cpus", "", kind="decimal"),
        Option("weight", "", kind="uint16"),
        Option("filter", "", kind="filter"),
    ),
)
RUN = COMMAND.replace(interspersed=False)


@pytest.mark.parametrize(
    "words",
    [
        ["-it", "-p80:80", "--name=x"],
        ["-i", "-t", "-p", "80:80", "--name", "x"],
        ["-ti", "-p=80:80", "--name", "x"],
        ["-itp", "80:80", "--name=x"],
        ["-itp80:80", "--name=x"],
        ["--interactive", "--tty=true", "--publish=80:80", "--name=x"],
    ],
)
def test_ways_to_say_the_same(words: list[str]) -> None:
    options, arguments = parse(COMMAND, words, path="knarr test")
    assert arguments == []
    assert options.flag("interactive")
    assert options.flag("tty")
    assert options.texts("publish") == ["80:80"]
    assert options.text("name") == "x"
    assert options.given("name")
    assert not options.given("memory")


def test_defaults() -> None:
    options, _ = parse(COMMAND, [], path="knarr test")
    assert options.flag("human")
    assert not options.flag("tty")
    assert options.text("name") == ""
    assert options.texts("publish") == []
    assert options.texts("signal") == ["TERM"]
    assert options.number("last") == -1
    assert options.number("memory") == 0
    assert options.seconds("interval") == 0


def test_values() -> None:
    words = ["--human=false", "-m", "64m", "--cpus", "1.5", "--interval=1m30s", "--time", "-3"]
    options, _ = parse(COMMAND, words, path="knarr test")
    assert not options.flag("human")
    assert options.number("memory") == 64 << 20
    assert options.number("cpus") == 1_500_000_000
    assert options.seconds("interval") == 90
    assert options.number("timeout") == -3


def test_a_list_replaces_its_default_and_grows() -> None:
    options, _ = parse(COMMAND, ["--signal", "A", "--signal", "B"], path="knarr test")
    assert options.texts("signal") == ["A", "B"]
    assert parse(COMMAND, [], path="knarr test")[0].texts("signal") == ["TERM"]


def test_the_last_of_several_values_counts() -> None:
    options, _ = parse(COMMAND, ["--name", "a", "--name", "b", "-t", "--tty=0"], path="knarr test")
    assert options.text("name") == "b"
    assert not options.flag("tty")


def test_options_may_follow_arguments() -> None:
    options, arguments = parse(COMMAND, ["a", "-t", "b", "--", "-i", "--x"], path="knarr test")
    assert options.flag("tty")
    assert arguments == ["a", "b", "-i", "--x"]


def test_the_first_argument_ends_options_where_another_command_follows() -> None:
    options, arguments = parse(RUN, ["-t", "busybox", "ls", "-i", "--x"], path="knarr run")
    assert arguments == ["busybox", "ls", "-i", "--x"]
    assert not options.flag("interactive")
    assert parse(RUN, ["--", "-t"], path="knarr run")[1] == ["-t"]


def test_a_dash_is_an_argument_and_a_value() -> None:
    options, arguments = parse(COMMAND, ["-", "--name", "-", "--name", "--tty"], path="knarr test")
    assert arguments == ["-"]
    assert options.text("name") == "--tty"


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_is_always_there(word: str) -> None:
    assert parse(COMMAND, [word], path="knarr test")[0].flag("help")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--foo"], "unknown flag: --foo"),
        (["--foo=1"], "unknown flag: --foo"),
        (["-x"], "unknown shorthand flag: 'x' in -x"),
        (["-tx"], "unknown shorthand flag: 'x' in -tx"),
        (["--name"], "flag needs an argument: --name"),
        (["-p"], "flag needs an argument: 'p' in -p"),
        (["-tp"], "flag needs an argument: 'p' in -tp"),
        (["---"], "bad flag syntax: ---"),
        (["--=x"], "bad flag syntax: --=x"),
        (
            ["--tty=maybe"],
            (
                'invalid argument "maybe" for "-t, --tty" flag: strconv.ParseBool: '
                'parsing "maybe": invalid syntax'
            ),
        ),
        (
            ["-n", "x"],
            (
                'invalid argument "x" for "-n, --timeout" flag: strconv.ParseInt: '
                'parsing "x": invalid syntax'
            ),
        ),
        (
            ["--weight", "-1"],
            (
                'invalid argument "-1" for "--weight" flag: strconv.ParseUint: '
                'parsing "-1": invalid syntax'
            ),
        ),
        (
            ["--weight", "65536"],
            (
                'invalid argument "65536" for "--weight" flag: strconv.ParseUint: '
                'parsing "65536": value out of range'
            ),
        ),
        (
            ["--filter", "x"],
            'invalid argument "x" for "--filter" flag: bad format of filter (expected name=value)',
        ),
        (["-m", "abc"], 'invalid argument "abc" for "-m, --memory" flag: invalid size: \'abc\''),
        (
            ["--cpus=abc"],
            'invalid argument "abc" for "--cpus" flag: failed to parse abc as a rational number',
        ),
        (
            ["--interval", "5x"],
            'invalid argument "5x" for "--interval" flag: time: unknown unit "x" in duration "5x"',
        ),
    ],
)
def test_faults_in_docker_s_words(words: list[str], message: str) -> None:
    with pytest.raises(Misuse) as caught:
        parse(COMMAND, words, path="knarr test")
    assert caught.value.message == message
    assert caught.value.bare


def test_a_slip_gets_a_suggestion() -> None:
    with pytest.raises(Misuse) as caught:
        parse(COMMAND, ["--nmae", "x"], path="knarr test")
    assert caught.value.hint == "Did you mean --name?"


@pytest.mark.parametrize(
    ("minimum", "maximum", "count", "message"),
    [
        (0, 0, 1, "'knarr x' accepts no arguments"),
        (1, 1, 0, "'knarr x' requires 1 argument"),
        (2, 2, 1, "'knarr x' requires 2 arguments"),
        (1, None, 0, "'knarr x' requires at least 1 argument"),
        (0, 1, 2, "'knarr x' requires at most 1 argument"),
        (1, 2, 3, "'knarr x' requires at least 1 and at most 2 arguments"),
        (1, 2, 0, "'knarr x' requires at least 1 and at most 2 arguments"),
    ],
)
def test_wrong_number_of_arguments(
    minimum: int, maximum: int | None, count: int, message: str
) -> None:
    command = Command(short="", minimum=minimum, maximum=maximum)
    with pytest.raises(Misuse) as caught:
        check(command, ["a"] * count, path="knarr x")
    assert caught.value.message == message
    assert not caught.value.bare


@pytest.mark.parametrize(
    ("minimum", "maximum", "count"), [(0, 0, 0), (1, 1, 1), (1, None, 5), (0, 1, 0), (1, 2, 2)]
)
def test_right_number_of_arguments(minimum: int, maximum: int | None, count: int) -> None:
    check(Command(short="", minimum=minimum, maximum=maximum), ["a"] * count, path="knarr x")
