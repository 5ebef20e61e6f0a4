"""Documents of others are read with care, and ours are always the same bytes."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr.errors import Corrupt, InvalidArgument, Unsupported
from knarr.oci import config as c
from knarr.oci import descriptor as d
from knarr.oci import document, layout
from knarr.oci.digest import Digest, digest_of
from knarr.oci.document import FrozenDict
from knarr.oci.manifest import Index, Manifest, decode_manifest, encode_index, encode_manifest

SHA = "sha256:" + "0" * 64
DESCRIPTOR = {"mediaType": "x", "digest": SHA, "size": 3}
MANIFEST: dict[str, Any] = {"schemaVersion": 2, "config": DESCRIPTOR, "layers": [DESCRIPTOR]}
CONFIG: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "rootfs": {"type": "layers", "diff_ids": [SHA]},
}


def raw(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b"{", "not valid JSON"),
        (b'{"a":1}x', "not valid JSON"),
        (b'\xff{"a":1}', "not valid JSON"),
        (b'{"a":NaN}', "not a number of JSON"),
        (b'{"a":-Infinity}', "not a number of JSON"),
        (b'{"a":"\\ud800"}', "not valid JSON"),
        (b'{"a":' + b"[" * 70 + b"]" * 70 + b"}", "nested more than 64 deep"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not valid JSON"),
        (b'{"a":' + b"9" * 5000 + b"}", "not valid JSON"),
        (b" " * (4 << 20) + b"{}", "more than 4194304"),
    ],
)
def test_what_is_no_document(data: bytes, why: str) -> None:
    with pytest.raises(Corrupt, match=why):
        document.load(data, "thing")


def test_words_that_only_look_like_numbers_are_texts() -> None:
    assert document.load(b'{"a":"NaN and Infinity \\u00e9"}', "thing").text("a").startswith("NaN")


def test_a_wide_document_is_not_deep() -> None:
    value = document.load(raw({"a": [[]] * 1000}), "thing")
    assert len(value.object["a"]) == 1000


def test_frozen_dictionaries_stay() -> None:
    frozen = FrozenDict({"a": "b"})
    with pytest.raises(TypeError):
        frozen["a"] = "c"
    with pytest.raises(TypeError):
        frozen.update(a="c")
    assert copy.deepcopy(frozen) == frozen
    assert hash(frozen) == hash(FrozenDict({"a": "z"}))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schemaVersion": 1}, "schema version 1"),
        ({"schemaVersion": 3}, "schemaVersion must be 2"),
        ({"config": None}, "config must be a descriptor"),
        ({"config": []}, "config must be an object"),
        ({"layers": {}}, "layers must be a list of objects"),
        ({"layers": [1]}, "layers must be a list of objects"),
        ({"layers": [{**DESCRIPTOR, "digest": "x"}]}, r"layers\[0\]: digest: invalid digest"),
        ({"layers": [{**DESCRIPTOR, "size": -1}]}, r"layers\[0\]: size must be a whole number"),
        ({"layers": [{**DESCRIPTOR, "size": True}]}, "size must be a whole number"),
        ({"layers": [{**DESCRIPTOR, "size": 1.5}]}, "size must be a whole number"),
        ({"layers": [{**DESCRIPTOR, "size": 1 << 63}]}, "size must be a whole number"),
        ({"layers": [DESCRIPTOR] * 1001}, "at most 1000 layers"),
        ({"manifests": [], "mediaType": d.OCI_MANIFEST}, "lists manifests"),
        ({"manifests": []}, "has layers"),
        ({"mediaType": d.OCI_INDEX}, "claims to be an index"),
        ({"annotations": {"a": 1}}, "annotations must be an object of strings"),
        ({"annotations": {"a": "b\0"}}, "annotations must be without NUL"),
    ],
)
def test_broken_manifests(change: dict[str, Any], why: str) -> None:
    with pytest.raises(Corrupt, match=why):
        decode_manifest(raw({**MANIFEST, **change}))


def test_a_manifest_keeps_its_bytes() -> None:
    data = b'  {"schemaVersion":2, "config":' + raw(DESCRIPTOR) + b',"layers":[],"other":1}'
    manifest = decode_manifest(data, d.DOCKER_MANIFEST)
    assert isinstance(manifest, Manifest)
    assert manifest.media_type == d.DOCKER_MANIFEST
    assert manifest.digest == digest_of(data)
    assert manifest.descriptor == d.Descriptor(d.DOCKER_MANIFEST, digest_of(data), len(data))


def test_a_manifest_is_what_it_was_announced_as() -> None:
    with pytest.raises(Corrupt, match="announced as"):
        decode_manifest(raw({**MANIFEST, "mediaType": d.OCI_MANIFEST}), d.DOCKER_MANIFEST)


def test_an_index_is_known_by_its_contents() -> None:
    assert isinstance(decode_manifest(raw({"schemaVersion": 2, "manifests": []})), Index)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"rootfs": None}, "rootfs must be"),
        ({"rootfs": {"type": "other"}}, "rootfs must be"),
        ({"rootfs": {"diff_ids": ["x"]}}, "invalid digest"),
        ({"rootfs": {"diff_ids": [SHA] * 1001}}, "at most 1000"),
        ({"rootfs": {"diff_ids": SHA}}, "diff_ids must be a list"),
        ({"config": {"Env": "A=b"}}, "config: Env must be a list"),
        ({"config": {"Env": ["A=b\0"]}}, "Env must be without NUL"),
        ({"config": {"ExposedPorts": ["80"]}}, "ExposedPorts must be an object"),
        ({"config": {"Labels": {"a": {}}}}, "Labels must be an object of strings"),
        ({"config": {"User": 0}}, "User must be a string"),
        ({"history": [{"empty_layer": 1}]}, r"history\[0\]: empty_layer must be true or false"),
        ({"os": ["linux"]}, "os must be a string"),
    ],
)
def test_broken_configs(change: dict[str, Any], why: str) -> None:
    with pytest.raises(Corrupt, match=why):
        c.decode_config(raw({**CONFIG, **change}))


def test_null_is_absent_and_empty_is_not() -> None:
    run: dict[str, object] = {
        "Entrypoint": [],
        "Cmd": None,
        "Env": None,
        "Labels": None,
        "Volumes": None,
    }
    config = c.decode_config(raw({**CONFIG, "config": run})).config
    assert config == c.RunConfig(entrypoint=())
    assert c.encode_run_config(config) == {"Entrypoint": []}


def test_a_command_may_be_a_string() -> None:
    assert c.decode_config(raw({**CONFIG, "config": {"Cmd": "sh"}})).config.cmd == ("sh",)


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
COMMAND = st.none() | TEXTS
NUMBER = st.integers(0, 9)
TEST = TEXTS.map(lambda test: test or None)
HEALTH = st.builds(c.Healthcheck, TEST, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER).filter(
    lambda health: health != c.Healthcheck()
)
SET = st.sets(TEXT, max_size=3).map(lambda s: tuple(sorted(s)))
RUN = st.builds(
    c.RunConfig,
    user=TEXT,
    exposed_ports=SET,
    env=TEXTS,
    entrypoint=COMMAND,
    cmd=COMMAND,
    volumes=SET,
    working_dir=TEXT,
    labels=st.dictionaries(TEXT, TEXT, max_size=3).map(FrozenDict),
    stop_signal=TEXT,
    stop_timeout=st.none() | st.integers(-1, 99),
    shell=COMMAND,
    healthcheck=st.none() | HEALTH,
    on_build=TEXTS,
    args_escaped=st.booleans(),
    extra=st.just(FrozenDict({"Image": "x", "Memory": [1, {"a": None}]})),
)
HISTORY = st.builds(c.History, TEXT, TEXT, TEXT, TEXT, st.booleans())


@given(RUN, st.lists(HISTORY, max_size=3), TEXT)
def test_configs_go_round(run: c.RunConfig, history: list[c.History], author: str) -> None:
    made = c.encode_config(
        platform=d.Platform("linux", "arm", "v7"),
        created="2026-01-01T00:00:00Z",
        author=author,
        config=run,
        diff_ids=[Digest(SHA)],
        history=history,
        extra=FrozenDict({"docker_version": "1"}),
    )
    found = c.decode_config(made.raw)
    assert found == made
    again = c.encode_config(
        platform=found.platform, created=found.created, author=found.author, config=found.config,
        diff_ids=found.diff_ids, history=found.history, extra=found.extra,
    )  # fmt: skip
    assert again.raw == made.raw


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda s: st.lists(s, max_size=3) | st.dictionaries(
        st.sampled_from(["schemaVersion", "config", "layers", "digest", "size", "rootfs", "Env",
                         "manifests", "platform", "history", "os", "annotations"]), s, max_size=4),
    max_leaves=12,
))  # fmt: skip
def test_any_json_is_read_or_refused(value: object) -> None:
    data = raw(value)
    for decode in (decode_manifest, c.decode_config, layout.parse_index):
        try:
            decode(data)
        except Corrupt:
            pass


def test_chain_ids() -> None:
    # Spec: image-spec config.md, "Layer ChainID": the first is the diff ID itself.
    first, second = digest_of(b"1"), digest_of(b"2")
    assert c.chain_ids([]) == []
    assert c.chain_ids([first, second]) == [first, digest_of(f"{first} {second}".encode())]


def test_manifests_go_round() -> None:
    platform = d.Platform("linux", "arm64", "v8", "1.2", ("a",))
    one = d.Descriptor(
        d.OCI_LAYER, Digest(SHA), 5, FrozenDict({"a": "b"}), platform, "t",
        FrozenDict({"urls": ["u"]}),
    )  # fmt: skip
    manifest = encode_manifest(one, [one, one], annotations=FrozenDict({"x": "y"}))
    assert decode_manifest(manifest.raw) == manifest
    index = encode_index([one])
    assert decode_manifest(index.raw) == index


def test_layout() -> None:
    layout.parse_layout(layout.render_layout())
    with pytest.raises(Unsupported, match="version 2"):
        layout.parse_layout(b'{"imageLayoutVersion":"2.0.0"}')
    one = d.Descriptor(d.OCI_MANIFEST, Digest(SHA), 5)
    index = layout.parse_index(layout.render_index([("docker.io/library/a:1", one), ("", one)]))
    assert [m.annotations.get(d.REF_NAME) for m in index.manifests] == [
        "docker.io/library/a:1",
        None,
    ]
    with pytest.raises(Corrupt):
        layout.parse_index(raw(MANIFEST))
    assert layout.blob_path(Digest(SHA)) == "blobs/sha256/" + "0" * 64


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", d.Platform("linux", "amd64")),
        ("linux/x86_64", d.Platform("linux", "amd64")),
        ("linux/arm64/v8", d.Platform("linux", "arm64")),
        ("linux/aarch64", d.Platform("linux", "arm64")),
        ("linux/arm/7", d.Platform("linux", "arm", "v7")),
        ("linux/armhf", d.Platform("linux", "arm", "v7")),
        ("Linux/ARM/v6", d.Platform("linux", "arm", "v6")),
        ("s390x", d.Platform("linux", "s390x")),
        ("aarch64", d.Platform("linux", "arm64")),
        ("linux", d.host_platform()),
    ],
)
def test_platforms(text: str, platform: d.Platform) -> None:
    assert d.parse_platform(text) == platform
    assert d.parse_platform(str(platform)) == platform


@pytest.mark.parametrize("text", ["", "a/b/c/d", "linux//v7", "linux/am d64", "/", "amd46"])
def test_no_platforms(text: str) -> None:
    with pytest.raises(InvalidArgument, match="is not a platform"):
        d.parse_platform(text)


def test_an_image_for_arm64_says_v8_or_nothing() -> None:
    assert d.Platform("linux", "arm64", "v8").matches(d.parse_platform("linux/arm64"))
    assert d.Platform("linux", "arm64").matches(d.Platform("linux", "arm64", "v8"))
    assert not d.Platform("linux", "arm", "v6").matches(d.Platform("linux", "arm", "v7"))
    assert d.Platform("linux", "arm", "v6").matches(d.Platform("linux", "arm"))
