package edge

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// Keys are the alias keys of all tenants. Losing them means that no entity is found again under its raw identifier;
// showing them means that anyone can try raw identifiers against aliases.
type Keys struct {
	tenants map[string]*tenantKeys
}

// tenantKeys are one tenant's keys; exactly one of them makes new aliases.
type tenantKeys struct {
	active *aliasKey
	all    []*aliasKey
}

// keysFile is the file as it is written.
type keysFile struct {
	Format  int                       `yaml:"format"`
	Tenants map[string]keysFileTenant `yaml:"tenants"`
}

type keysFileTenant struct {
	Keys []keysFileKey `yaml:"keys"`
}

// keysFileKey is one key. Exactly one of Active and Retired must be true.
type keysFileKey struct {
	ID      string `yaml:"id"`
	Secret  string `yaml:"secret"`
	Active  bool   `yaml:"active,omitempty"`
	Retired bool   `yaml:"retired,omitempty"`
}

const (
	keysFormat    = 1
	minSecretSize = 32
	maxSecretSize = 64
	maxKeysFile   = 1 << 20
)

var keyID = regexp.MustCompile(`^[a-z0-9]{1,8}$`)

// LoadKeys reads a keys file. It refuses a file that everyone on the machine can read or change.
func LoadKeys(path string) (*Keys, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot load alias keys: %w; make them with `pitboss keys new`, or restore them: state "+
			"and records are of no use under other keys", err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot load alias keys: %w", err)
	}
	defer func() { _ = f.Close() }() // read only: nothing is lost
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot load alias keys: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return nil, fmt.Errorf("alias keys %q have mode %04o, open to everyone: chmod 600 it", path, mode)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeysFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot load alias keys %q: %w", path, err)
	}
	return ParseKeys(data, path)
}

// ParseKeys reads alias keys from YAML or JSON. file is the name that errors give; no error quotes a secret.
func ParseKeys(data []byte, file string) (*Keys, error) {
	if len(data) > maxKeysFile {
		return nil, fmt.Errorf("alias keys %q are larger than %d bytes", file, maxKeysFile)
	}
	var parsed keysFile
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(&parsed); err != nil {
		// The parser's error quotes lines of the file, and so secrets: only its place leaves.
		return nil, fmt.Errorf("cannot parse alias keys %q: %s", file, yamlPlace(err))
	}
	if parsed.Format != keysFormat {
		return nil, fmt.Errorf("alias keys %q have format %d, this build knows %d", file, parsed.Format, keysFormat)
	}
	keys := &Keys{tenants: map[string]*tenantKeys{}}
	for tenant, t := range parsed.Tenants {
		made, err := makeTenantKeys(tenant, t.Keys)
		if err != nil {
			return nil, fmt.Errorf("alias keys %q: tenant %q: %w", file, tenant, err)
		}
		keys.tenants[tenant] = made
	}
	return keys, nil
}

// yamlPlace gives what a YAML error may say of a file of secrets.
func yamlPlace(err error) string {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil && at.GetToken().Position != nil {
		p := at.GetToken().Position
		return fmt.Sprintf("line %d, column %d: not a keys file: format: 1, then tenants: NAME: keys: with id, secret, "+
			"active or retired", p.Line, p.Column)
	}
	return "not YAML"
}

func makeTenantKeys(tenant string, list []keysFileKey) (*tenantKeys, error) {
	made := &tenantKeys{}
	for i, k := range list {
		if !keyID.MatchString(k.ID) {
			return nil, fmt.Errorf("key %d: id must match %s", i, keyID)
		}
		if slices.ContainsFunc(made.all, func(a *aliasKey) bool { return a.id == k.ID }) {
			return nil, fmt.Errorf("key %q is given twice", k.ID)
		}
		if k.Active == k.Retired {
			return nil, fmt.Errorf("key %q: exactly one of active and retired must be true", k.ID)
		}
		secret, err := decodeSecret(k.Secret)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", k.ID, err)
		}
		key := newAliasKey(tenant, k.ID, secret)
		made.all = append(made.all, key)
		if k.Active && made.active != nil {
			return nil, fmt.Errorf("keys %q and %q are both active", made.active.id, k.ID)
		}
		if k.Active {
			made.active = key
		}
	}
	if made.active == nil {
		return nil, errors.New("no key is active")
	}
	return made, nil
}

// decodeSecret reads 32 to 64 bytes in hex or base64.
func decodeSecret(s string) ([]byte, error) {
	secret, err := hex.DecodeString(s)
	if err != nil {
		secret, err = base64.StdEncoding.DecodeString(s)
	}
	if err != nil {
		return nil, errors.New("the secret is neither hex nor base64")
	}
	if len(secret) < minSecretSize || len(secret) > maxSecretSize {
		return nil, fmt.Errorf("the secret has %d bytes, wanted %d to %d", len(secret), minSecretSize, maxSecretSize)
	}
	return secret, nil
}

// NewKeys makes a keys file with one fresh active key per tenant.
func NewKeys(tenants ...string) ([]byte, error) {
	file := keysFile{Format: keysFormat, Tenants: map[string]keysFileTenant{}}
	for _, tenant := range tenants {
		if err := checkTenantName(tenant); err != nil {
			return nil, fmt.Errorf("cannot make a key for a tenant: %w", err)
		}
		secret := make([]byte, minSecretSize)
		if _, err := rand.Read(secret); err != nil {
			return nil, fmt.Errorf("cannot make a key for tenant %q: %w", tenant, err)
		}
		file.Tenants[tenant] = keysFileTenant{Keys: []keysFileKey{
			{ID: "1", Secret: base64.StdEncoding.EncodeToString(secret), Active: true},
		}}
	}
	data, err := yaml.Marshal(file)
	if err != nil {
		return nil, fmt.Errorf("cannot write alias keys: %w", err)
	}
	return data, nil
}

// WriteKeys makes a new keys file at path, readable by its owner only. It never overwrites one: what was hashed under
// lost keys is lost.
func WriteKeys(path string, tenants ...string) (err error) {
	data, err := NewKeys(tenants...)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write alias keys: %w", err)
	}
	defer func() {
		if closeErr := f.Close(); closeErr != nil && err == nil {
			err = fmt.Errorf("cannot write alias keys: %w", closeErr)
		}
	}()
	if _, err = f.Write(data); err != nil {
		return fmt.Errorf("cannot write alias keys: %w", err)
	}
	if err = f.Sync(); err != nil {
		return fmt.Errorf("cannot write alias keys: %w", err)
	}
	return nil
}

// Fingerprint names one alias key without showing it. State keeps the fingerprints it was built under: another one for
// the same tenant and id at start is a wrong keys file.
type Fingerprint struct {
	Tenant string
	KeyID  string
	// Value is 16 hex digits.
	Value string
	// Active says that new aliases are made with this key.
	Active bool
}

// Fingerprints gives one fingerprint per key, by tenant, in the file's order of keys.
func (k *Keys) Fingerprints() []Fingerprint {
	var prints []Fingerprint
	for tenant, keys := range k.tenants {
		for _, key := range keys.all {
			prints = append(prints, Fingerprint{
				Tenant: tenant, KeyID: key.id, Value: key.fingerprint(), Active: key == keys.active,
			})
		}
	}
	slices.SortStableFunc(prints, func(a, b Fingerprint) int { return strings.Compare(a.Tenant, b.Tenant) })
	return prints
}
