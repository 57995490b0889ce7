// kafkajs has types for its documented API only, and its SASL mechanisms are not part of that: sasl.ts checks what they are.
declare module "kafkajs/src/broker/saslAuthenticator/*" {
  const mechanism: unknown;
  export default mechanism;
}
