"""What templates of `inspect` find in documents, as in Docker's records."""

from __future__ import annotations

from typing import Any

import pytest

from knarr.cli.records import as_record
from knarr.errors import SyntaxFault
from knarr.util.gotemplate.template import parse

CONTAINER: dict[str, Any] = {
    "Id": "abc",
    "State": {"Status": "running"},
    "ExecIDs": None,
    "Mounts": [{"Type": "bind", "Source": "/srv"}, {"Type": "volume", "Name": "data"}],
    "HostConfig": {"Init": None, "Mounts": None, "NanoCpus": 5},
    "Config": {"Labels": {}, "Entrypoint": None},
    "NetworkSettings": {"Networks": {"bridge": {"Aliases": None, "IPAMConfig": None}}},
}
IMAGE: dict[str, Any] = {"Id": "def", "RootFS": {"Type": "layers"}, "Config": {"Labels": None}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{range .Mounts}}[{{.Name}}]{{end}}", "[][data]"),
        ("{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}", "none"),
        ("{{.Config.Healthcheck}} {{json .Config.Healthcheck}}", "<nil> null"),
        ("{{.Config.ExposedPorts}} {{json .Config.ExposedPorts}}", "map[] null"),
        (
            "{{.HostConfig.Mounts}} {{json .HostConfig.Mounts}}{{len .HostConfig.Mounts}}",
            "[] null0",
        ),
        ("{{.HostConfig.Init}}[{{.Config.StopSignal}}]", "<nil>[]"),
        ("{{.ID}} {{.Id}} {{.HostConfig.NanoCPUs}}", "abc abc 5"),
        ("{{range .Config.Entrypoint}}x{{end}}{{.Config.Entrypoint}}", "[]"),
        ("{{.NetworkSettings.Networks.bridge.Aliases}}", "[]"),
        ("{{json .Config}}", '{"Labels":{},"Entrypoint":null}'),
    ],
)
def test_templates_find_what_containers_leave_out(text: str, expected: str) -> None:
    assert parse(text).render(as_record(CONTAINER)) == expected


@pytest.mark.parametrize("text", ["{{.Config.Nope}}", "{{.State.Health.Status}}"])
def test_what_no_record_has_is_a_mistake(text: str) -> None:
    with pytest.raises(SyntaxFault, match="no entry for key"):
        parse(text).render(as_record(CONTAINER))


def test_images_and_volumes_have_records_of_their_own() -> None:
    text = "{{.ID}} {{.Variant}}{{.RepoTags}} {{.Config.Labels.vendor}}"
    assert parse(text).render(as_record(IMAGE)) == "def [] <no value>"
    assert parse("{{.Labels}}").render(as_record({"Name": "data", "Labels": None})) == "map[]"
