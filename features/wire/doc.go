// Package wire reads an event out of a Kafka record, however its producer writes: Protobuf, JSON or Avro, plain or in the
// Confluent wire format with a schema registry, bare or as a CloudEvent.
//
// It is no place for what an event must have: features/edge checks that, whatever the event came as. Start reading at
// Decoder.Decode, then schemas.go for the registry, avro.go and cloudevents.go for the two mappings.
package wire
