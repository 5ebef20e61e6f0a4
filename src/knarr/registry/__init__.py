"""What others hold: the distribution protocol.

Owns the client, authentication, hosts and transfer. Never writes to the store. Start with `client`.

* `client`, `download`, `upload`, `referring`, `listing`, `search`, `login`: what can be asked for
* `transfer`: one request with all it takes; `auth`, `challenges`: who we are; `faults`: refusals
* `wire`, `breaks`, `proxies`: one exchange over urllib3, and what goes wrong below HTTP
* `hosts`, `hostfiles`, `certs`: settings; `credentials`, `helpers`: what users log in with
"""
