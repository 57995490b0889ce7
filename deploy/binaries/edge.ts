// The edge as a single file.
import { readArguments } from "./arguments.ts";

readArguments("edge");
await import("../../edge/main.ts");
