export type { Denial } from './http/denial.ts';
export * as limits from './limits.ts';
export type { EgressOptions, Service } from './options.ts';
export { EgressPlane } from './plane.ts';
export { CertificateAuthority, type Leaf } from './tls/authority.ts';
export { certificateEnvironment } from './tls/environment.ts';
