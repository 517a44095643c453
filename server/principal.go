package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pitboss/registry"
)

// Right is what a call needs of its principal.
type Right string

// The rights. Public needs no principal at all.
const (
	Public       Right = ""
	Decide       Right = "decide"
	Publish      Right = "publish"
	ReadDecision Right = "read_decision"
	// ExplainDecision tells what a score is made of, feature by feature.
	ExplainDecision Right = "explain_decision"
	ReadFeatures    Right = "read_features"
	// ExplainFeatures shows what values are made of: when each of an entity's events happened.
	ExplainFeatures Right = "explain_features"
	PushFeatures    Right = "push_features"
	Operate         Right = "operate"
	ChangeModel     Right = "change_model"
)

// roles is the table of what each role may do.
func roles() map[string][]Right {
	return map[string][]Right{
		// A game engine: asks for decisions, tells what happens, and may look its decisions up.
		"engine": {Decide, Publish, ReadDecision},
		// Something that only tells: a wallet, an import.
		"producer": {Publish},
		// A person or a console that looks.
		"analyst": {ReadDecision, ExplainDecision, ReadFeatures, ExplainFeatures},
		// Something that reads features for a model of its own.
		"reader": {ReadFeatures},
		// A batch that brings values computed elsewhere.
		"pusher": {PushFeatures},
		// Monitoring.
		"operator": {Operate},
		// Everything, within the tenant; and the model, which is all tenants'.
		"admin": {Decide, Publish, ReadDecision, ExplainDecision, ReadFeatures, ExplainFeatures, PushFeatures, Operate, ChangeModel},
	}
}

// Principal is who calls.
type Principal struct {
	// Tenant is the operator on whose behalf all its calls are; it reaches no other's data.
	Tenant string
	// Name is for logs: engine-eu-1.
	Name string
	// Roles are as configured.
	Roles []string
	// Language is that of the texts of its decisions where a call names none; empty is en.
	Language string

	rights []Right
}

// may says whether the principal has a right.
func (p *Principal) may(r Right) bool { return p != nil && slices.Contains(p.rights, r) }

// KeyConfig is one API key. The secret itself is nowhere in the configuration.
type KeyConfig struct {
	// ID is the public part of the key: [a-z0-9]{1,16}.
	ID string `yaml:"id"`
	// SecretSHA256 is the SHA-256 of the secret part, in hex.
	SecretSHA256 string `yaml:"secret_sha256"`
	// Tenant is the operator that the key acts for.
	Tenant string `yaml:"tenant"`
	// Name is for logs.
	Name string `yaml:"name"`
	// Roles are engine, producer, analyst, operator, admin.
	Roles []string `yaml:"roles"`
	// Language is that of the texts of its decisions where a call names none: en, de, pt-BR. Default: en.
	Language string `yaml:"language"`
	// Expires is when the key ends, RFC 3339. Default: never.
	Expires string `yaml:"expires"`
}

// CertificateConfig is a client whose certificate says who it is.
type CertificateConfig struct {
	// Subject is the certificate's subject as in RFC 2253, whole: CN=engine-1,O=Casino. Either it or SAN is needed.
	Subject string `yaml:"subject"`
	// SAN is one of the certificate's DNS names, URIs or e-mail addresses, whole.
	SAN string `yaml:"san"`
	// Tenant is the operator that the client acts for.
	Tenant string `yaml:"tenant"`
	// Name is for logs.
	Name string `yaml:"name"`
	// Roles and Language are as of KeyConfig.
	Roles    []string `yaml:"roles"`
	Language string   `yaml:"language"`
}

func (k *KeyConfig) validate() error {
	if !isKeyID(k.ID) {
		return fmt.Errorf("id: %q must be 1 to 16 of a-z and 0-9", k.ID)
	}
	if sum, err := hex.DecodeString(k.SecretSHA256); err != nil || len(sum) != sha256.Size {
		return errors.New("secret_sha256: must be 64 hex digits; make a key with `pitboss keys api`")
	}
	if _, err := k.expires(); err != nil {
		return fmt.Errorf("expires: %w", err)
	}
	return validatePrincipal(k.Tenant, k.Roles, k.Language)
}

func (k *KeyConfig) expires() (time.Time, error) {
	if k.Expires == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, k.Expires)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a time such as 2027-01-01T00:00:00Z", k.Expires)
	}
	return at, nil
}

func (c *CertificateConfig) validate() error {
	if (c.Subject == "") == (c.SAN == "") {
		return errors.New("exactly one of subject and san is needed")
	}
	return validatePrincipal(c.Tenant, c.Roles, c.Language)
}

func validatePrincipal(tenant string, names []string, language string) error {
	if tenant == "" {
		return errors.New("tenant: needed")
	}
	if language != "" && !registry.ValidLanguage(language) {
		return fmt.Errorf("language: %q is not one such as en, de or pt-BR", language)
	}
	if len(names) == 0 {
		return errors.New("roles: at least one is needed")
	}
	for _, name := range names {
		if _, ok := roles()[name]; !ok {
			return fmt.Errorf("roles: no role %q: engine, producer, analyst, operator or admin", name)
		}
	}
	return nil
}

func newPrincipal(tenant, name string, names []string, language string) *Principal {
	p := &Principal{Tenant: tenant, Name: name, Roles: names, Language: language}
	for _, role := range names {
		p.rights = append(p.rights, roles()[role]...)
	}
	slices.Sort(p.rights)
	p.rights = slices.Compact(p.rights)
	return p
}

// authenticator knows the principals of a configuration. It never changes.
type authenticator struct {
	keys     map[string]knownKey
	subjects map[string]*Principal
	sans     map[string]*Principal
}

type knownKey struct {
	hash      [sha256.Size]byte
	expires   time.Time
	principal *Principal
}

func newAuthenticator(cfg Config) (*authenticator, error) {
	a := &authenticator{keys: map[string]knownKey{}, subjects: map[string]*Principal{}, sans: map[string]*Principal{}}
	for i, k := range cfg.Keys {
		known := knownKey{principal: newPrincipal(k.Tenant, k.Name, k.Roles, k.Language)}
		sum, err := hex.DecodeString(k.SecretSHA256)
		if err != nil {
			return nil, fmt.Errorf("keys[%d].secret_sha256: %w", i, err)
		}
		copy(known.hash[:], sum)
		if known.expires, err = k.expires(); err != nil {
			return nil, fmt.Errorf("keys[%d].expires: %w", i, err)
		}
		a.keys[k.ID] = known
	}
	for _, c := range cfg.Certificates {
		if c.Subject != "" {
			a.subjects[c.Subject] = newPrincipal(c.Tenant, c.Name, c.Roles, c.Language)
		} else {
			a.sans[c.SAN] = newPrincipal(c.Tenant, c.Name, c.Roles, c.Language)
		}
	}
	return a, nil
}

// authFailure is why nobody was recognised: a label of metrics, and no more is told to the caller.
type authFailure string

const (
	authMissing   authFailure = "missing"
	authMalformed authFailure = "malformed"
	authUnknown   authFailure = "unknown"
	authWrong     authFailure = "wrong_secret"
	authExpired   authFailure = "expired"
	authCert      authFailure = "certificate"
)

// authenticate finds the principal of an Authorization header or, without one, of a verified client certificate.
func (a *authenticator) authenticate(header string, cert *x509.Certificate, now time.Time) (*Principal, authFailure) {
	if header == "" {
		return a.byCertificate(cert)
	}
	id, secret, ok := parseBearer(header)
	if !ok {
		return nil, authMalformed
	}
	known, found := a.keys[id]
	sum := sha256.Sum256([]byte(secret))
	// An unknown id takes the same comparison as a known one: the time of the answer tells nothing.
	match := subtle.ConstantTimeCompare(sum[:], known.hash[:]) == 1
	switch {
	case !found:
		return nil, authUnknown
	case !match:
		return nil, authWrong
	case !known.expires.IsZero() && now.After(known.expires):
		return nil, authExpired
	}
	return known.principal, ""
}

func (a *authenticator) byCertificate(cert *x509.Certificate) (*Principal, authFailure) {
	if cert == nil {
		return nil, authMissing
	}
	if p, ok := a.subjects[cert.Subject.String()]; ok {
		return p, ""
	}
	for _, name := range slices.Concat(cert.DNSNames, cert.EmailAddresses) {
		if p, ok := a.sans[name]; ok {
			return p, ""
		}
	}
	for _, uri := range cert.URIs {
		if p, ok := a.sans[uri.String()]; ok {
			return p, ""
		}
	}
	return nil, authCert
}

// parseBearer reads "Bearer pb_<id>_<secret>".
func parseBearer(header string) (id, secret string, ok bool) {
	const scheme = "bearer "
	if len(header) > 256 || len(header) < len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return "", "", false
	}
	rest, found := strings.CutPrefix(strings.TrimSpace(header[len(scheme):]), keyPrefix)
	if !found {
		return "", "", false
	}
	id, secret, found = strings.Cut(rest, "_")
	return id, secret, found && isKeyID(id) && secret != ""
}
