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

// MakeEntityKey gives the key of an entity by its tenant, kind and alias.
func MakeEntityKey(tenant string, kind Kind, alias string) EntityKey {
	t := sha256.Sum256([]byte("tenant\x00" + tenant))
	e := sha256.Sum256([]byte("entity\x00" + kind.Name + "\x00" + alias))
	k := EntityKey{Kind: kind.ID}
	copy(k.Tenant[:], t[:])
	copy(k.ID[:], e[:])
	return k
}

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
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return EventKey(sum[:16])
}
