"""The document of an exported cache, written and read, and what of it is not believed."""

from __future__ import annotations

import json

import pytest

from knarr.build.cacheconfig import (
    DIFF_ID,
    Records,
    Result,
    decode_inline,
    decode_records,
    encode_inline,
    encode_records,
)
from knarr.errors import Corrupt
from knarr.oci.config import chain_ids
from knarr.oci.descriptor import OCI_LAYER_GZIP, Descriptor
from knarr.oci.digest import digest_of
from knarr.oci.document import FrozenDict
from knarr.util import jsontext

A, B, C = (digest_of(name) for name in (b"a", b"b", b"c"))
BLOBS = {
    chain: Descriptor(OCI_LAYER_GZIP, digest_of(chain.encode()), 7) for chain in chain_ids((A, B))
}
KNOWN = {blob.digest: (blob, diff_id) for blob, diff_id in zip(BLOBS.values(), (A, B), strict=True)}
SECOND = 10**9
ONE, TWO, THREE = (str(digest_of(name)) for name in (b"one", b"two", b"three"))
FIRST = {"blob": str(next(iter(KNOWN))), "parent": -1}
RECORDS = Records(
    {ONE: Result((A,), SECOND), TWO: Result((A, B), 2 * SECOND + 5), THREE: Result((A, C), SECOND)},
    {THREE: "sha256:abc:"},
    {"id": next(iter(BLOBS.values()))},
    BLOBS,
)


def test_what_is_written_is_read() -> None:
    raw, blobs = encode_records(RECORDS)
    assert blobs == list(BLOBS.values())
    assert decode_records(raw, KNOWN) == RECORDS


def test_results_without_layers_are_apart_from_what_buildkit_reads() -> None:
    value = json.loads(encode_records(RECORDS)[0])
    assert [record["digest"] for record in value["records"]] == sorted([ONE, TWO])
    assert [layer["parent"] for layer in value["layers"]] == [-1, 0]
    assert list(value["knarr"]["results"]) == [THREE]


def test_a_document_of_buildkit_is_read() -> None:
    lower, upper = KNOWN
    raw = json.dumps(
        {
            # It sorts layers by their digests, so that one may stand on a later one, and leaves
            # out a parent that is 0.
            "layers": [
                {"blob": str(upper), "parent": 1},
                {"blob": str(lower), "parent": -1, "annotations": {}},
            ],
            "records": [
                {"digest": ONE, "layers": [{"layer": 0, "createdAt": "2024-01-02T03:04:05Z"}]},
                {"digest": TWO, "inputs": [[{"link": 0}]]},
                {"digest": THREE, "chains": [{"layers": [1], "createdAt": "2024-01-02T03:04:05Z"}]},
            ],
        }
    )
    found = decode_records(raw.encode(), KNOWN)
    assert {key: result.diff_ids for key, result in found.results.items()} == {
        ONE: (A, B), THREE: (A,),
    }  # fmt: skip


def test_a_document_may_describe_its_blobs() -> None:
    blobs = {
        chain: blob.replace(annotations=FrozenDict({DIFF_ID: str(diff_id)}))
        for (chain, blob), diff_id in zip(BLOBS.items(), (A, B), strict=True)
    }
    (key, mount) = next(iter(RECORDS.mounts.items()))
    records = RECORDS.replace(blobs=blobs, mounts={key: mount.replace(digest=C)})
    raw, _ = encode_records(records, described=True)
    assert decode_records(raw) == records
    told = json.loads(raw)["layers"][0]["annotations"]
    assert told["mediaType"] == OCI_LAYER_GZIP
    assert told["diffID"] == str(A)
    assert told["size"] == 7


def test_an_image_has_the_records_alone() -> None:
    stack = tuple(BLOBS)
    records = RECORDS.replace(mounts={})
    raw = encode_inline(records, stack)
    assert decode_inline(raw, list(zip(BLOBS.values(), (A, B), strict=True))) == records
    *told, own = json.loads(raw)
    assert {one["digest"]: one["layers"][0]["layer"] for one in told} == {ONE: 0, TWO: 1}
    assert own.keys() == {"digest", "knarr"}
    with pytest.raises(Corrupt):
        decode_inline(b'{"layers":[]}', [])


@pytest.mark.parametrize(
    "value",
    [
        {"layers": [{"blob": str(A), "parent": 0}]},
        {"layers": [{"blob": str(A), "parent": 1}, {"blob": str(B), "parent": 0}]},
        {"layers": [{"blob": str(A), "parent": 7}]},
        {"layers": [{"blob": str(A), "parent": -2}]},
        {"layers": [{"blob": "../../etc/passwd"}]},
        {"layers": "none"},
        {"records": [{"digest": "x", "layers": [{"layer": 0}]}], "layers": [FIRST]},
        {"knarr": {"version": 1, "results": {"../x": {"diffIds": [str(A)]}}}},
        {"knarr": {"version": 1, "results": {ONE: {"diffIds": ["/"]}}}},
        {"knarr": {"version": 1, "mounts": {"id": "/etc"}}},
        {"knarr": {"version": 1, "results": {ONE: {"diffIds": [], "createdAt": "yesterday"}}}},
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(value: object) -> None:
    with pytest.raises(Corrupt):
        decode_records(jsontext.dumps(value).encode(), KNOWN)


def test_a_layer_whose_blob_is_not_named_leads_nowhere() -> None:
    raw, _ = encode_records(RECORDS)
    first = next(iter(KNOWN))
    found = decode_records(raw, {first: KNOWN[first]})
    assert found.results.keys() == {ONE, THREE}
