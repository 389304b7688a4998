import { transportContract } from "../contract/transport-contract.ts";
import { startEndpoint } from "./endpoint.ts";

transportContract("the transport over WebSocket", startEndpoint);
