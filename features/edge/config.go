package edge

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"pitboss/features"
)

// The bounds on time and size that every event must keep.
const (
	// FutureBound is how far occurred_at may be after received_at. It is at most the grace of the windows (60 s).
	FutureBound = 5 * time.Second
	// PastBound is how far occurred_at may be before received_at. It is the age up to which dedupe is exact.
	PastBound = 30 * 24 * time.Hour
	// MaxAhead is how far a time in a payload may be after received_at: a limit's beginning, an exclusion's end. It keeps what is
	// counted in other units than seconds from being taken for a time.
	MaxAhead = 100 * 366 * 24 * time.Hour
	// MaxEventID bounds event_id, in bytes.
	MaxEventID = 128
	// MaxText bounds every other text, in bytes.
	MaxText = 256
	// MaxEntities bounds the entities that an event names.
	MaxEntities = 32
	// MaxAttributes bounds the attributes of an event.
	MaxAttributes = 64
	// SchemaMajor is the newest major schema that this build reads.
	SchemaMajor = 1
)

// Config says whose events are accepted and what they are enriched with.
type Config struct {
	// Tenants are the operators by name. An event of another tenant is refused.
	Tenants map[string]TenantConfig `yaml:"tenants"`
	// KeysFile has the alias keys of every tenant; see ParseKeys. It must not be readable by everyone.
	KeysFile string `yaml:"keys_file"`
	// Address says where address class, country and network come from.
	Address AddressConfig `yaml:"address"`
	// Lists are looked up in raw values. Default: none.
	Lists []ListConfig `yaml:"lists"`

	// UnknownFields says what becomes of fields that this build does not know: keep stores them with the event, sealed as it is,
	// drop does not. Default keep. Say drop where producers may put what names a person into fields of their own.
	UnknownFields string `yaml:"unknown_fields"`

	// Kinds are the entity kinds of the configuration. Needed.
	Kinds *features.Kinds `yaml:"-"`
	// Keys are used in place of KeysFile where they are given.
	Keys *Keys `yaml:"-"`
	// Dir is where relative paths start: the directory of the configuration file.
	Dir string `yaml:"-"`
	// History accepts events that carry their own received_at, which then takes the place of the caller's: for batch and
	// for reading history, never for live input.
	History bool `yaml:"-"`
}

// TenantConfig is what the edge must know of one operator.
type TenantConfig struct {
	// BaseCurrency is the ISO 4217 code that amount_base is in. Default: EUR. It cannot change under existing state.
	BaseCurrency string `yaml:"base_currency"`
	// RatesFile is the pinned table of rates to the base currency; see ParseRates. Default: none, and only amounts in the
	// base currency are accepted.
	RatesFile string `yaml:"rates_file"`

	// Rates are used in place of RatesFile where they are given.
	Rates *RateTable `yaml:"-"`
}

// DefaultConfig gives a configuration without tenants and with the built-in address lists.
func DefaultConfig() Config {
	return Config{Address: AddressConfig{Lists: defaultAddressLists(), Currencies: builtinCurrencies}, UnknownFields: unknownKeep}
}

// Validate says what is wrong with the configuration without opening a file.
func (c *Config) Validate() error {
	if len(c.Tenants) == 0 {
		return errors.New("tenants: at least one is needed")
	}
	for name := range c.Tenants {
		if err := checkTenantName(name); err != nil {
			return fmt.Errorf("tenants: %w", err)
		}
	}
	if c.UnknownFields != "" && c.UnknownFields != unknownKeep && c.UnknownFields != unknownDrop {
		return fmt.Errorf("unknown_fields: %q must be %s or %s", c.UnknownFields, unknownKeep, unknownDrop)
	}
	if c.KeysFile == "" && c.Keys == nil {
		return errors.New("keys_file: needed, as raw identifiers are never stored; make one with `pitboss keys new`")
	}
	for i, l := range c.Address.Lists {
		if !slices.Contains(classes(), l.Class) {
			return fmt.Errorf("address.lists[%d].class: %q must be one of %v", i, l.Class, classes())
		}
		if l.Path == "" {
			return fmt.Errorf("address.lists[%d].path: needed", i)
		}
	}
	return c.validateLists()
}

func checkTenantName(name string) error {
	if err := checkID("tenants", name, MaxText); err != nil || name == "" {
		return fmt.Errorf("%q is no name: 1 to %d bytes without control or invisible characters", name, MaxText)
	}
	return nil
}

func (c *Config) validateLists() error {
	seen := map[string]bool{}
	for i, l := range c.Lists {
		if seen[l.Name] {
			return fmt.Errorf("lists[%d].name: %q is used twice", i, l.Name)
		}
		seen[l.Name] = true
		if l.Path == "" {
			return fmt.Errorf("lists[%d].path: needed", i)
		}
		for _, tenant := range l.Tenants {
			if _, ok := c.Tenants[tenant]; !ok {
				return fmt.Errorf("lists[%d].tenants: no tenant %q", i, tenant)
			}
		}
	}
	return nil
}
