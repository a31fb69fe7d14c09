/** Variables by which programs and libraries are told of a certificate bundle, and who reads each. */
const VARIABLES = [
  'SSL_CERT_FILE', // OpenSSL, Go, Python's ssl, Ruby, rustls-native-certs, uv
  'NODE_EXTRA_CA_CERTS', // Node.js
  'REQUESTS_CA_BUNDLE', // Python requests
  'CURL_CA_BUNDLE', // curl
  'GIT_SSL_CAINFO', // git
  'CARGO_HTTP_CAINFO', // cargo
  'PIP_CERT', // pip
  'AWS_CA_BUNDLE', // AWS CLI and SDKs
  'DENO_CERT', // Deno
  'NIX_SSL_CERT_FILE', // Nix
] as const;

/** The environment that makes programs trust the bundle at `bundlePath` (as seen inside the sandbox). */
export function certificateEnvironment(bundlePath: string): Record<string, string> {
  return Object.fromEntries(VARIABLES.map((name) => [name, bundlePath]));
}
