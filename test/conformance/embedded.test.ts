// The black box against a hub on the embedded log, or against any hub by its URL in TIDINGS_TEST_HUB.

import { foreignHub, openOwnHub } from "../support/hub/hub.ts";
import { conformance } from "./conformance.ts";
import { openRig, VARIANT_SETTINGS } from "./rig.ts";

const url = process.env["TIDINGS_TEST_HUB"];
const hub = url === undefined ? await openOwnHub() : foreignHub(url);
const rig = await openRig(hub, () => openOwnHub({ settings: VARIANT_SETTINGS }));
conformance(url === undefined ? "conformance, embedded log" : `conformance of ${url}`, rig);
