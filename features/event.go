package features

import (
	pb "pitboss/proto/pitboss/v1"
)

// Trust says who made an event.
type Trust uint8

// The two makers of events. What a client says may be a lie.
const (
	TrustServer Trust = iota
	TrustClient
)

// Event is the only form of an event in memory: accepted, enriched and aliased. It is made by Decode from the stored
// message, at the edge and again at recovery and replay, and is a pure function of it. Times are microseconds since the
// Unix epoch.
type Event struct {
	// Tenant is the operator; two tenants share nothing.
	Tenant string
	// ID is the producer's event_id.
	ID string
	// Key is H(tenant, event_id): what dedupe knows the event by, and in hex the decision_id.
	Key EventKey
	// Content is the SHA-256 of the canonical event: Msg without received_at, trace_id and enrichment.
	Content [32]byte
	// Transaction is H(tenant, transaction_id, type); the zero key where the event is no wallet transaction.
	Transaction EventKey
	// TakesBack is the transaction that the event takes back, Replaces the event that it corrects; the zero key without.
	TakesBack, Replaces EventKey
	// Type is the event's type: bet.placed.
	Type string
	// OccurredAt is the producer's time and the evaluation time of a vector.
	OccurredAt int64
	// ReceivedAt is ours.
	ReceivedAt int64
	// Trust says whether the game's servers or the player's client made it.
	Trust Trust
	// Entities are the event's entities and then the derived ones, in the message's order.
	Entities []EntityRef
	// Fields are the values that groups and features can name, sorted by Name.
	Fields []Field
	// Msg is the stored message. Nobody changes it after Decode.
	Msg *pb.Event
}

// EventKey identifies an event or a transaction within everything that was ever accepted.
type EventKey [16]byte

// EntityRef is one entity that an event names.
type EntityRef struct {
	// Key is where its state lives.
	Key EntityKey
	// Kind is its kind's name: player, ip24.
	Kind string
	// Alias is its stored value.
	Alias string
}

// FieldType is the type of a field's value.
type FieldType uint8

// The types a field can have. A Bool is an Int of 0 or 1.
const (
	FieldInt FieldType = iota + 1
	FieldNumber
	FieldText
	FieldBool
)

// Field is one value of an event, by the name that feature sets use: a payload field's own name (`amount`, and
// `amount_base` for money in the base currency; `currency` is its code), `attr_NAME` for an attribute (and
// `attr_NAME_base`), or an envelope or enrichment name: type, trust, brand, jurisdiction, address_class, asn_class, country,
// country_currency_mismatch, card_country_mismatch, card_currency_mismatch.
type Field struct {
	Name   string
	Type   FieldType
	Int    int64
	Number float64
	Text   string
}
