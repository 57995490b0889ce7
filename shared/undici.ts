// The real undici, by the name of its file: in the place of the bare name Bun puts a shim of its own, which ignores the connector
// and so the guard. Nothing else imports undici.
import { buildConnector, type Dispatcher, Pool } from "undici/index.js";

export { buildConnector, Pool };
export type { Dispatcher };
