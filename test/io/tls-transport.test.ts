import { Credentials } from "../../src/io/tls.ts";
import { type Endpoint, transportContract } from "../contract/transport-contract.ts";
import { Authority } from "./certificates.ts";
import { startEndpoint } from "./endpoint.ts";

const authority = new Authority();

transportContract("the transport over TLS", async (name, differences): Promise<Endpoint> => {
  const cluster = differences?.cluster ?? "hearsay";
  const party = { name: differences?.name ?? name, cluster };
  const credentials = new Credentials(await authority.filesOf(party.name, cluster), party, () => 0);
  return startEndpoint(name, differences, { credentials });
});
