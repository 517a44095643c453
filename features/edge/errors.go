package edge

import (
	"fmt"
	"strconv"
)

// Reason is the stable cause of a refusal, for programs.
type Reason string

// The reasons. They are part of the wire (FieldError.reason, dead letters): never change one, only add.
const (
	// InvalidField is a value that its field cannot have.
	InvalidField Reason = "INVALID_FIELD"
	// MissingField is a field, entity or payload that the event's type needs.
	MissingField Reason = "MISSING_FIELD"
	// ForbiddenField is a field that only pitboss sets.
	ForbiddenField Reason = "FORBIDDEN_FIELD"
	// TooLong is text beyond its bound, or more elements than a list may have.
	TooLong Reason = "TOO_LONG"
	// UnknownType is an event type that the catalogue does not have.
	UnknownType Reason = "UNKNOWN_TYPE"
	// NewerSchema is an event of a newer major schema.
	NewerSchema Reason = "NEWER_SCHEMA"
	// UnknownTenant is a tenant that the configuration does not have.
	UnknownTenant Reason = "UNKNOWN_TENANT"
	// UnknownKind is an entity kind that the configuration does not have.
	UnknownKind Reason = "UNKNOWN_KIND"
	// UnknownCurrency is a currency that is unknown or has no rate.
	UnknownCurrency Reason = "UNKNOWN_CURRENCY"
	// AmountOverflow is an amount beyond MaxAmountMinor, as it is or in the base currency.
	AmountOverflow Reason = "AMOUNT_OVERFLOW"
	// InFuture is an event from more than FutureBound after its receipt.
	InFuture Reason = "IN_FUTURE"
	// InvalidJSON is text that is not the JSON of what it should be.
	InvalidJSON Reason = "INVALID_JSON"
	// TooDeep is JSON that nests deeper than anything that is meant.
	TooDeep Reason = "TOO_DEEP"
	// TooOld is an event from more than PastBound before its receipt.
	TooOld Reason = "TOO_OLD"
)

// Error is a refusal for good: the same event will be refused again. Its text is for the producer and holds no raw
// identifier.
type Error struct {
	// Reason is the stable cause.
	Reason Reason
	// Path is the field's place as in JSON: event.bet_placed.amount.currency.
	Path string
	// Message says what is wrong and what would be right.
	Message string
}

// Error gives the path and the message.
func (e *Error) Error() string { return e.Path + ": " + e.Message }

// refuse makes an Error.
func refuse(reason Reason, path, format string, args ...any) *Error {
	return &Error{Reason: reason, Path: path, Message: fmt.Sprintf(format, args...)}
}

// clip quotes text of a stranger for a message: bounded, and printable ASCII only.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "..."
	}
	return strconv.QuoteToASCII(s)
}
