/** Runs the tests inside the extension host; VS Code calls `run`. Mocha is not bundled: INKLING_MOCHA says where it is. */

import type MochaClass from "mocha";

export async function run(): Promise<void> {
  const Mocha = require(process.env.INKLING_MOCHA!) as typeof MochaClass;
  const mocha = new Mocha({ ui: "bdd", color: false, timeout: 150_000, grep: process.env.INKLING_TESTS });
  mocha.suite.emit("pre-require", globalThis, "", mocha);
  if (process.env.INKLING_BENCH) {
    await import("./bench.js");
  } else if (process.env.INKLING_MANAGED) {
    await import("./managed.js");
  } else {
    await import("./features.js");
    await import("./recovery.js");
  }
  await new Promise<void>((resolve, reject) => {
    const runner = mocha.run((failures) => (failures ? reject(new Error(`${failures} of the tests failed`)) : resolve()));
    runner.on("fail", (test, error) => console.log(`FAILED ${test.fullTitle()}: ${error.stack ?? error.message}`));
  });
}
