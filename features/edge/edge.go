package edge

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

// Edge accepts events. It is safe for concurrent use and never changes after New.
type Edge struct {
	kinds   *features.Kinds
	history bool
	types   map[string]*typePlan
	payload protoreflect.OneofDescriptor
	tenants map[string]*tenant
	book    *addressBook
	looks   *lookAlikes
	lists   []*valueList
	keys    *Keys
	scratch sync.Pool
	stats   counters

	keepsUnknown bool
	unknown      unknownCounters
}

// tenant is what Accept needs of one operator.
type tenant struct {
	rates *rates
	key   *aliasKey
	lists tenantLists
}

// New loads keys, rates, lists and databases. Every error says which file, and what to do where that is known.
func New(cfg Config) (*Edge, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Kinds == nil {
		return nil, errors.New("BUG: edge.Config.Kinds is nil")
	}
	e := &Edge{kinds: cfg.Kinds, history: cfg.History, keys: cfg.Keys, tenants: map[string]*tenant{}, payload: payloadOneof()}
	e.keepsUnknown = cfg.UnknownFields != unknownDrop
	e.scratch.New = func() any { return &scratch{} }
	var err error
	if e.types, err = planTypes(); err != nil {
		return nil, err
	}
	if e.keys == nil {
		if e.keys, err = LoadKeys(inDir(cfg.Dir, cfg.KeysFile)); err != nil {
			return nil, err
		}
	}
	if e.book, err = openAddressBook(cfg.Address, cfg.Dir); err != nil {
		return nil, err
	}
	if e.looks, err = openLookAlikes(); err != nil {
		return nil, err
	}
	for _, l := range cfg.Lists {
		var loaded *valueList
		if loaded, err = loadValueList(l, e.looks, cfg.Kinds, cfg.Dir); err != nil {
			return nil, err
		}
		e.lists = append(e.lists, loaded)
	}
	for name, tc := range cfg.Tenants {
		if e.tenants[name], err = e.openTenant(name, tc, cfg.Dir); err != nil {
			return nil, fmt.Errorf("tenant %q: %w", name, err)
		}
	}
	return e, nil
}

// Accept validates msg, enriches it, replaces raw personal identifiers by aliases and decodes it into dst. receivedAt is
// when it came in. Accept takes msg over: it is changed in place and is the stored message from then on. Where it is
// refused, the error is an *Error and msg is as it came.
func (e *Edge) Accept(msg *pb.Event, receivedAt time.Time, dst *features.Event) error {
	sc := e.scratch.Get().(*scratch) //nolint:forcetypeassert // the pool's New makes nothing else
	defer func() {
		sc.reset()
		e.scratch.Put(sc)
	}()
	c := checker{edge: e, msg: msg, receivedAt: receivedAt.Truncate(time.Microsecond), scratch: sc}
	if err := c.check(); err != nil {
		e.stats.count(err)
		return err
	}
	c.apply()
	if err := features.Decode(e.kinds, msg, dst); err != nil {
		return fmt.Errorf("BUG: cannot decode an accepted event: %w", err)
	}
	return nil
}

// Alias gives the stored form of an identifier: what Accept would make of it. The error is an *Error whose path starts
// with path.
func (e *Edge) Alias(tenantName, path string, id *pb.Identifier) (*pb.Identifier, error) {
	t, ok := e.tenants[tenantName]
	if !ok {
		return nil, refuse(UnknownTenant, "tenant", "no tenant of this name")
	}
	ent, err := e.checkIdentifier(path, id)
	if err != nil {
		return nil, err
	}
	return &pb.Identifier{Kind: id.GetKind(), Value: t.stored(&ent), Form: ent.storedForm()}, nil
}

// Fingerprints gives the fingerprints of all alias keys, for the check that state was built under the same keys.
func (e *Edge) Fingerprints() []Fingerprint { return e.keys.Fingerprints() }

// Lists tells of the loaded lists, in the configuration's order.
func (e *Edge) Lists() []ListInfo {
	infos := make([]ListInfo, 0, len(e.lists))
	for _, l := range e.lists {
		infos = append(infos, ListInfo{Name: l.cfg.Name, Kind: l.cfg.Kind,
			Version: l.hit.GetVersion(), Entries: l.entries})
	}
	return infos
}

// AddressVersion gives the versions of the address lists and databases, as events carry them.
func (e *Edge) AddressVersion() string { return e.book.version }

// RatesVersion gives the version of a tenant's rate table, as events carry it.
func (e *Edge) RatesVersion(tenantName string) (string, bool) {
	t, ok := e.tenants[tenantName]
	if !ok {
		return "", false
	}
	return t.rates.version, true
}

// Tenants gives the names of the tenants, sorted.
func (e *Edge) Tenants() []string {
	names := make([]string, 0, len(e.tenants))
	for name := range e.tenants {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// openTenant loads what belongs to one tenant.
func (e *Edge) openTenant(name string, cfg TenantConfig, dir string) (*tenant, error) {
	keys, ok := e.keys.tenants[name]
	if !ok {
		return nil, errors.New("the keys file has no key for it")
	}
	table := cfg.Rates
	if table == nil && cfg.RatesFile != "" {
		data, err := os.ReadFile(inDir(dir, cfg.RatesFile))
		if err != nil {
			return nil, fmt.Errorf("cannot read rate table: %w", err)
		}
		if table, err = ParseRates(data, cfg.RatesFile); err != nil {
			return nil, err
		}
	}
	base := cfg.BaseCurrency
	if base == "" {
		base = DefaultBaseCurrency
	}
	rates, err := newRates(base, table)
	if err != nil {
		return nil, err
	}
	return &tenant{rates: rates, key: keys.active, lists: newTenantLists(name, e.lists)}, nil
}
