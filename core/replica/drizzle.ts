// drizzle in its CommonJS build. Node reads the 180 KB package.json of drizzle-orm anew for each of its hundred ES modules, which
// costs half a second and 200 MB at every start; the same code as CommonJS costs a tenth of that.
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

export const { and, desc, eq, gt, gte, inArray, isNotNull, lt, lte, ne, sql } = require(
  "drizzle-orm",
) as typeof import("drizzle-orm");
export const { drizzle } = require("drizzle-orm/libsql/sqlite3") as typeof import("drizzle-orm/libsql/sqlite3");
export const { getTableConfig, index, integer, primaryKey, SQLiteAsyncDialect, sqliteTable, text } = require(
  "drizzle-orm/sqlite-core",
) as typeof import("drizzle-orm/sqlite-core");
