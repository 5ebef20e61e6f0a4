from __future__ import annotations

import pytest

from knarr.errors import SyntaxFault
from knarr.util.gotemplate.template import parse

DATA = {
    "Name": "/web",
    "Empty": "",
    "Zero": 0,
    "Count": 3,
    "Ratio": 0.5,
    "Big": 2000000,
    "Running": True,
    "Nothing": None,
    "Env": ["A=1", "B=2"],
    "None": [],
    "State": {"Status": "running", "Pid": 42},
    "Config": {"Labels": {"b": "2", "a.b": "1"}},
    "Networks": {"one": {"IPAddress": "10.0.0.2"}, "two": {"IPAddress": "10.1.0.2"}},
    "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "81/tcp": None},
    "Label": lambda name: f"<{name}>",
    "Lazy": lambda: "made",
}

TEXTS = [
    ("", ""),
    ("plain }} text", "plain }} text"),
    ("{{.Name}}", "/web"),
    ("{{ .State.Pid }}", "42"),
    ("{{.}}", None),
    ("{{$.Name}}", "/web"),
    ("{{.Running}} {{.Ratio}} {{.Big}}", "true 0.5 2000000"),
    ("{{.Env}} {{.Config.Labels}}", "[A=1 B=2] map[a.b:1 b:2]"),
    ("{{.Nothing}} {{.Config.Labels.lacks}}", "<no value> <no value>"),
    ('{{.Lazy}} {{.Label "x"}} {{"y" | .Label}}', "made <x> <y>"),
    # functions
    ("{{json .Env}}{{json .Nothing}}", '["A=1","B=2"]null'),
    ("{{.State | json}}", '{"Status":"running","Pid":42}'),
    ('{{join .Env ","}}', "A=1,B=2"),
    ('{{index (split "a:b:c" ":") 1}}', "b"),
    ('{{upper .Name}}{{lower "AB"}}{{title "ab cd-ef"}}', "/WEBabAb Cd-Ef"),
    ("[{{pad .Name 1 2}}][{{pad .Empty 1 2}}]", "[ /web  ][]"),
    ('{{truncate "abcdef" 3}}{{truncate "ab" 3}}', "abcab"),
    ("{{len .Env}}{{len .Name}}{{len .Config.Labels}}", "242"),
    ("{{println .Name 1}}", "/web 1\n"),
    ('{{print 1 2 "a" 3 nil}}', "1 2a3 <nil>"),
    ('{{printf "%-6s|%5d|%05.1f|%q|%v|%x|%t|%%" .Name 42 2.25 "a\\"b" .Env 255 true}}',
     '/web  |   42|002.2|"a\\"b"|[A=1 B=2]|ff|true|%'),
    ('{{printf "%d %s" "x"}}{{printf "a" 1}}', "%!d(string=x) %!s(MISSING)a%!(EXTRA int=1)"),
    ("{{slice .Name 1}}{{slice .Env 0 1}}", "web[A=1]"),
    ('{{html "<a>&"}} {{urlquery "a b/"}}', "&lt;a&gt;&amp; a+b%2F"),
    ('{{index .Config.Labels "a.b"}}[{{index .Config.Labels "x"}}]', "1[]"),
    ('{{(index (index .Ports "80/tcp") 0).HostPort}}', "8080"),
    # comparison and logic
    ("{{eq .Count 3}}{{eq .Count 1 3}}{{ne .Name `x`}}{{lt 1 2}}{{le 2 2}}{{gt 1 2}}{{ge `b` `a`}}",
     "truetruetruetruetruefalsetrue"),
    ("{{and 1 0 .Lacks}}{{or 0 .Name .Lacks}}{{not .Zero}}", "0/webtrue"),
    ("{{eq .Nothing nil}}", "true"),
    ("{{len .Nothing}}{{range .Nothing}}x{{end}}", "0"),
    ("{{js `a<'`}}", "a\\u003C\\'"),
    ("{{title \"o'neil\"}}", "O'Neil"),
    # named templates
    ('{{define "x"}}<{{.}}>{{end}}{{template "x" .Count}}{{template "x"}}', "<3><<no value>>"),
    ('{{template "x" .Name}}{{define "x"}}{{$}}{{end}}', "/web"),
    ('{{block "b" .Count}}[{{.}}]{{end}}{{template "b" 1}}', "[3][1]"),
    ('{{define "x"}}a{{end}}{{define "x"}} {{end}}{{template "x"}}', "a"),
    ('{{define "x"}}{{range .}}{{block "y" .}}{{.}};{{end}}{{end}}{{end}}{{template "x" .Env}}',
     "A=1;B=2;"),
    # control
    ("{{if .Running}}up{{else}}down{{end}}", "up"),
    ("{{if .Zero}}a{{else if .Empty}}b{{else if .Count}}c{{else}}d{{end}}", "c"),
    ("{{if and .Running (gt .Count 2)}}both{{end}}", "both"),
    ("{{range .Env}}<{{.}}>{{end}}", "<A=1><B=2>"),
    ("{{range $i, $v := .Env}}{{if $i}}, {{end}}{{$v}}{{end}}", "A=1, B=2"),
    ("{{range $v := .Env}}{{$v}}{{$.Count}}{{end}}", "A=13B=23"),
    ("{{range .None}}x{{else}}none{{end}}{{range .Nothing}}x{{else}}nil{{end}}", "nonenil"),
    ("{{range $k, $n := .Networks}}{{$k}}={{$n.IPAddress}} {{end}}", "one=10.0.0.2 two=10.1.0.2 "),
    ("{{range $p, $c := .Ports}}{{$p}}{{range $c}}->{{.HostPort}}{{end}};{{end}}",
     "80/tcp->8080;81/tcp;"),
    ("{{range 3}}{{.}}{{end}}", "012"),
    ('{{range .Env}}{{if eq . "B=2"}}{{continue}}{{end}}{{.}}{{end}}', "A=1"),
    ("{{range .Env}}{{.}}{{break}}{{end}}", "A=1"),
    ("{{with .State}}{{.Status}}{{end}}{{with .Empty}}x{{else}}y{{end}}", "runningy"),
    ("{{with $s := .State}}{{$s.Pid}}{{end}}", "42"),
    ("{{$x := .Count}}{{if true}}{{$x = 5}}{{end}}{{$x}}", "5"),
    ("{{$x := 1}}{{if true}}{{$x := 2}}{{$x}}{{end}}{{$x}}", "21"),
    # text, trimming, comments, constants
    ("a {{- .Count -}} b", "a3b"),
    ("a\n{{- /* a }} comment */ -}}\n b", "ab"),
    ("{{/* nothing */}}x", "x"),
    ("{{\"}}\"}}{{`{{`}}{{'a'}}", "}}{{97"),
    ('{{"\\u00e9\\t\\x41"}}', "é\tA"),
    ("{{-3}} {{0x10}} {{1e3}} {{1.5}}", "-3 16 1000 1.5"),
    ("{{true}}{{false}}", "truefalse"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "result"), TEXTS, ids=[text or "empty" for text, _ in TEXTS])
def test_renders_as_go_does(text: str, result: str | None) -> None:
    rendered = parse(text).render(DATA)
    assert result is None or rendered == result


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{.Foo", "unclosed action"),
        ("a\n{{.Foo", "template: :2: unclosed action"),
        ("{{}}", "missing value for command"),
        ("{{if}}{{end}}", "missing value for if"),
        ("{{if .A}}", "unexpected EOF"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{else}}", "unexpected {{else}}"),
        ("{{if .A}}{{else}}{{else}}{{end}}", "expected end; found {{else}}"),
        ("{{foo .A}}", 'function "foo" not defined'),
        ("{{.A foo}}", 'function "foo" not defined'),
        ("{{$x}}", 'undefined variable "$x"'),
        ("{{if true}}{{$x := 1}}{{end}}{{$x}}", 'undefined variable "$x"'),
        ("{{(.A}}", "unclosed left paren"),
        ("{{.A)}}", "unexpected right paren"),
        ('{{"a}}', "unterminated quoted string"),
        ("{{/* a }}", "unclosed comment"),
        ("{{.A | }}", "missing value for command"),
        ("{{!}}", "unrecognized character in action: U+0021 '!'"),
        ("{{break}}", "{{break}} outside {{range}}"),
        ("{{12x}}", 'bad number syntax: "12x"'),
        ("{{.Env.0}}", 'unexpected ".0" in operand'),
        ("{{define}}{{end}}", 'unexpected "}}" in define clause'),
        ('{{define "x" 1}}{{end}}', 'unexpected "1" in define clause'),
        ('{{define "x"}}', "unexpected EOF"),
        ('{{define "x"}}a{{else}}b{{end}}', "unexpected {{else}} in define clause"),
        ('{{if 1}}{{define "x"}}{{end}}{{end}}', "unexpected <define> in command"),
        ('{{define "x"}}a{{end}}{{define "x"}}b{{end}}', 'multiple definition of template "x"'),
        ('{{$a := 1}}{{define "x"}}{{$a}}{{end}}', 'undefined variable "$a"'),
        ('{{range .Env}}{{block "x" .}}{{break}}{{end}}{{end}}', "{{break}} outside {{range}}"),
        ("{{template}}", 'unexpected "}}" in template clause'),
        ("{{template .Name}}", 'unexpected ".Name" in template clause'),
        ('{{block "x"}}{{end}}', "missing value for block clause"),
    ],
)
def test_faults_of_syntax_are_worded_as_in_go(text: str, message: str) -> None:
    with pytest.raises(SyntaxFault) as caught:
        parse(text)
    assert message in caught.value.message
    assert caught.value.message.startswith("template parsing error: template: :")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "{{.Lacks}}",
            'template: :1:2: executing "" at <.Lacks>: map has no entry for key "Lacks"',
        ),
        ("{{.Name.X}}", "can't evaluate field X in type string"),
        ("{{.Nothing.X}}", 'nil data; no entry for key "X"'),
        ("{{.Config.Labels.x.y}}", 'nil data; no entry for key "y"'),
        ("{{len .Count}}", "at <len .Count>: error calling len: len of type int"),
        ("{{eq 1 1.0}}", "error calling eq: incompatible types for comparison"),
        ('{{template "x"}}', ':11: executing "" at <{{template "x"}}>: template "x" not defined'),
        ('{{define "x"}}{{.Foo}}{{end}}{{template "x" .}}', 'executing "x" at <.Foo>: map has no'),
        ('{{define "x"}}{{template "x"}}{{end}}{{template "x"}}', "maximum template depth"),
        ("{{len}}", "wrong number of args for len: want 1 got 0"),
        ("{{index .Env 5}}", "error calling index: index out of range: 5"),
        ("{{eq .Name 1}}", "error calling eq: incompatible types for comparison"),
        ("{{upper .Count}}", "error calling upper: wrong type for value; expected string; got int"),
        ("{{range .Ratio}}{{end}}", "range can't iterate over 0.5"),
        ('{{.Name "x"}}', "Name has arguments but cannot be invoked as function"),
        ("{{1 | 2}}", "can't give argument to non-function 2"),
    ],
)  # fmt: skip
def test_faults_of_execution_say_where(text: str, message: str) -> None:
    with pytest.raises(SyntaxFault) as caught:
        parse(text).render(DATA)
    assert message in caught.value.message


def test_functions_leave_the_names_of_columns_alone_in_a_header() -> None:
    template = parse('{{json .ID}}\t{{truncate .Names 2}}\t{{join .Labels ","}}')
    heads = {"ID": "CONTAINER ID", "Names": "NAMES", "Labels": "LABELS"}
    assert template.render(heads, header=True) == "CONTAINER ID\tNAMES\tLABELS"


def test_no_text_makes_it_fail_otherwise() -> None:
    import itertools

    pieces = ["{{", "}}", "{{if ", "{{end}}", ".A", "(", ")", "|", '"', "$x", ":=", " ", "-", "1"]
    for combination in itertools.product(pieces, repeat=4):
        try:
            parse("".join(combination)).render({"A": "1"})
        except SyntaxFault:
            continue
