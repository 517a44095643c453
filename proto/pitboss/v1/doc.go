// Package pitbossv1 is the wire and the stored frames: events as game engines send them, decisions as pitboss answers
// them, and the frames that the journal holds. Generated from the .proto files beside it by `make gen`; their comments
// are the reference. Start reading in event.proto. It holds no logic.
package pitbossv1
