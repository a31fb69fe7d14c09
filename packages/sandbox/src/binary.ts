import { fileURLToPath } from 'node:url';

/** The native program, built by `native/build.mjs`. */
export const INIT_BINARY = fileURLToPath(new URL('../native/build/openshell-init', import.meta.url));
