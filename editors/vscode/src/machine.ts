// This machine, as the modules that look for programs want to know it.

import { statSync } from "node:fs";

import type { Machine } from "./server/find.ts";

export const thisMachine: Machine = {
  platform: process.platform,
  env: process.env,
  isFile: (path) => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false,
};
