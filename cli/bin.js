#!/usr/bin/env node
// What a package manager installs as `tidings`: it runs the program of that name.
import process from "node:process";

process.argv.splice(2, 0, "tidings");
await import("./run.js");
