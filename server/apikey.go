package server

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"strings"
)

// keyPrefix starts every API key, so that scanners of code and logs find one that leaked.
const keyPrefix = "pb_"

// NewKey makes an API key with 256 bits of chance: the text to hand to the caller, once, and its entry for the
// configuration, which holds no secret.
func NewKey(id, tenant, name string, roleNames ...string) (text string, entry KeyConfig, err error) {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return "", KeyConfig{}, fmt.Errorf("cannot make an API key: %w", err)
	}
	encoded := strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret))
	// A fast hash is enough: nobody searches 2^256 secrets, and every call pays for it.
	sum := sha256.Sum256([]byte(encoded))
	entry = KeyConfig{ID: id, SecretSHA256: hex.EncodeToString(sum[:]), Tenant: tenant, Name: name, Roles: roleNames}
	if err := entry.validate(); err != nil {
		return "", KeyConfig{}, fmt.Errorf("cannot make an API key: %w", err)
	}
	return keyPrefix + id + "_" + encoded, entry, nil
}

func isKeyID(s string) bool {
	if s == "" || len(s) > 16 {
		return false
	}
	for i := range len(s) {
		if b := s[i]; (b < 'a' || b > 'z') && (b < '0' || b > '9') {
			return false
		}
	}
	return true
}
