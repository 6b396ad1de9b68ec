/** When the bundle began to run: the first module that it evaluates. */

export const loadedAt = performance.now();
