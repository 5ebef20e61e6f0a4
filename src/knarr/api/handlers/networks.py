"""Networks, and who is in them."""

from __future__ import annotations

from knarr.api.answers import Empty, Json
from knarr.api.parse.endpoints import parse_endpoint
from knarr.api.parse.networks import parse_network
from knarr.api.parse.reading import reading
from knarr.engine.network import view
from knarr.errors import NotFound
from knarr.oci.document import Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.api.answers import Answer
    from knarr.api.call import Call

WITHOUT_CONTAINERS = (1, 28)  # since then, lists do not say who is in a network
WITH_STATUS = (1, 52)  # since then, a network says how many addresses it has left


def list_(call: Call) -> Answer:
    networks = call.engine.networks
    found = [view.inspect(networks, one) for one in view.list_networks(networks, call.filters())]
    if call.version >= WITHOUT_CONTAINERS:
        found = [{**document, "Containers": {}} for document in found]
    return Json(found)


def inspect(call: Call) -> Answer:
    name, scope = call.parameters["name"], call.text("scope")
    if scope not in ("", view.SCOPE):
        message = f"network {name} not found"
        raise NotFound(message)
    networks = call.engine.networks
    network = networks.get(name)
    document = view.inspect(networks, network)
    if call.flag("verbose"):
        document["Services"] = {}
    if call.version >= WITH_STATUS:
        document["Status"] = view.status(networks, network)
    return Json(document)


def create(call: Call) -> Answer:
    name, options = parse_network(call.json())
    network = call.engine.networks.create(name, options)
    return Json({"Id": network.id, "Warning": ""}, 201)


def remove(call: Call) -> Answer:
    call.engine.networks.remove(call.parameters["name"])
    return Empty()


def connect(call: Call) -> Answer:
    networks = call.engine.networks
    network = networks.get(call.parameters["name"])
    with reading():
        fields = Fields(call.json(), "connection")
        container = fields.text("Container")
        place = parse_endpoint(network.name, fields.child("EndpointConfig"))
    networks.connect(network.id, container, place)
    return Empty(200)


def disconnect(call: Call) -> Answer:
    with reading():
        fields = Fields(call.json(), "connection")
        container, force = fields.text("Container"), fields.boolean("Force")
    call.engine.networks.disconnect(call.parameters["name"], container, force=force)
    return Empty(200)


def prune(call: Call) -> Answer:
    removed = call.engine.networks.prune(call.filters())
    return Json({"NetworksDeleted": [network.name for network in removed] or None})
