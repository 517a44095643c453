package features

import (
	"crypto/sha256"
	"encoding/hex"
)

// KindID is the number of an entity kind in this process and on disk.
type KindID uint8

// EntityKey is where an entity's state lives. It holds no pointers, so that a map of millions costs the collector
// nothing.
type EntityKey struct {
	// Tenant is the start of SHA-256(tenant): two tenants share no key.
	Tenant [8]byte
	// Kind is the entity's kind.
	Kind KindID
	// ID is the start of SHA-256(kind, alias).
	ID [16]byte
}

// entityKeyBytes is the length of a stored key.
const entityKeyBytes = 8 + 1 + 16

// append appends the key's stored form.
func (k EntityKey) append(b []byte) []byte {
	b = append(append(b, k.Tenant[:]...), byte(k.Kind))
	return append(b, k.ID[:]...)
}

// parseEntityKey reads what append wrote; the zero key is read out of nothing.
func parseEntityKey(b []byte) (k EntityKey, ok bool) {
	if len(b) == 0 {
		return k, true
	}
	if len(b) != entityKeyBytes {
		return k, false
	}
	copy(k.Tenant[:], b)
	k.Kind = KindID(b[8])
	copy(k.ID[:], b[9:])
	return k, true
}

// MakeEntityKey gives the key of an entity by its tenant, kind and alias.
func MakeEntityKey(tenant string, kind Kind, alias string) EntityKey {
	return entityKey(tenantPart(tenant), kind, alias)
}

func tenantPart(tenant string) [8]byte {
	var stack [keyStack]byte
	sum := sha256.Sum256(append(append(stack[:0], "tenant\x00"...), tenant...))
	return [8]byte(sum[:8])
}

func entityKey(tenant [8]byte, kind Kind, alias string) EntityKey {
	var stack [keyStack]byte
	b := append(stack[:0], "entity\x00"...)
	b = append(append(append(b, kind.Name...), 0), alias...)
	sum := sha256.Sum256(b)
	return EntityKey{Tenant: tenant, Kind: kind.ID, ID: [16]byte(sum[:16])}
}

// keyStack is room for what is hashed to a key: a kind and an alias of 256 bytes, so that nothing is allocated.
const keyStack = 512

// MakeEventKey gives H(tenant, event_id).
func MakeEventKey(tenant, eventID string) EventKey {
	return hashKey("event", tenant, eventID)
}

// MakeTransactionKey gives H(tenant, transaction_id, type): a bet and its rollback may carry the same transaction.
func MakeTransactionKey(tenant, transactionID, eventType string) EventKey {
	return hashKey("transaction", tenant, transactionID, eventType)
}

// String gives the key in hex: of an event's key, the decision_id.
func (k EventKey) String() string { return hex.EncodeToString(k[:]) }

// IsZero says whether the key names nothing.
func (k EventKey) IsZero() bool { return k == EventKey{} }

// hashKey hashes parts so that no two different lists of parts give the same bytes: each is followed by a zero byte,
// which edge validation keeps out of every part.
func hashKey(parts ...string) EventKey {
	var stack [keyStack]byte
	b := stack[:0]
	for _, p := range parts {
		b = append(append(b, p...), 0)
	}
	sum := sha256.Sum256(b)
	return EventKey(sum[:16])
}
