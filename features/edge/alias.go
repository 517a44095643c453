package edge

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"hash"
	"strings"
	"sync"
)

// aliasSize is the bytes of the HMAC that an alias keeps: 160 bits, so that two raw values of a tenant share an alias
// with a chance of 2^-81 among a trillion of them.
const aliasSize = 20

// nicknameKind separates aliases of nicknames from those of entity kinds. It holds a character that no kind's name
// can, so that a configured kind of the same name stays apart.
const nicknameKind = "nickname/skeleton"

// aliasKey makes aliases under one secret. Its tenant is part of what is hashed: two tenants that were given the same
// secret by mistake still share no alias.
type aliasKey struct {
	tenant string
	id     string
	prefix string
	// pool holds *aliasState: an HMAC whose key schedule is done, worth two of its four compressions.
	pool sync.Pool
}

type aliasState struct {
	mac hash.Hash
	buf []byte
	sum [sha256.Size]byte
}

func newAliasKey(tenant, id string, secret []byte) *aliasKey {
	k := &aliasKey{tenant: tenant, id: id, prefix: "a" + id + "_"}
	k.pool.New = func() any { return &aliasState{mac: hmac.New(sha256.New, secret)} }
	return k
}

// alias gives a<keyid>_ and 32 characters of base32: HMAC-SHA-256 over a purpose, the tenant, the kind and the value,
// each ended by a zero byte, which validation keeps out of all of them.
func (k *aliasKey) alias(kind, value string) string {
	st := k.pool.Get().(*aliasState) //nolint:forcetypeassert // the pool's New makes nothing else
	defer k.pool.Put(st)
	k.mac(st, "pitboss alias 1", kind, value)
	var text [64]byte
	n := copy(text[:], k.prefix)
	lowerBase32.Encode(text[n:], st.sum[:aliasSize])
	return string(text[:n+aliasSize*8/5])
}

// made says whether a text is of the form of this key's aliases.
func (k *aliasKey) made(text string) bool {
	digest, ok := strings.CutPrefix(text, k.prefix)
	_, err := lowerBase32.DecodeString(digest)
	return ok && err == nil && len(digest) == aliasSize*8/5
}

// fingerprint gives 16 hex digits that name the secret.
func (k *aliasKey) fingerprint() string {
	st := k.pool.Get().(*aliasState) //nolint:forcetypeassert // the pool's New makes nothing else
	defer k.pool.Put(st)
	k.mac(st, "pitboss fingerprint 1", k.id, "")
	return hex.EncodeToString(st.sum[:8])
}

// mac leaves the HMAC of purpose, tenant, kind and value in st.sum.
func (k *aliasKey) mac(st *aliasState, purpose, kind, value string) {
	st.buf = st.buf[:0]
	for _, part := range [...]string{purpose, k.tenant, kind, value} {
		st.buf = append(append(st.buf, part...), 0)
	}
	st.mac.Reset()
	st.mac.Write(st.buf)
	st.mac.Sum(st.sum[:0])
	// The buffer goes back to the pool: no raw value stays in it.
	clear(st.buf)
}

// lowerBase32 is RFC 4648 base32 in lower case without padding.
var lowerBase32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
