package edge

import (
	"fmt"
	"io"
	"net/netip"
	"slices"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

// ListConfig is a list of raw values. It is looked up before raw values are replaced; what it says is pinned in the
// event as a hit.
type ListConfig struct {
	// Name is how hits, policies and features name the list: [A-Za-z0-9._-]{1,32}. Whether a hit allows, blocks or is
	// only watched is the policy's to say.
	Name string `yaml:"name"`
	// Kind is the entity kind whose values the list holds, or nickname, whose entries match look-alikes too.
	Kind string `yaml:"kind"`
	// Form is the form of the entries: raw (default) or alias, for values that producers send as aliases.
	Form string `yaml:"form"`
	// Path is a text file, plain or .gz, with one value a line; lines that start with # are left out. For the kind ip a
	// line may be a network.
	Path string `yaml:"path"`
	// Tenants are the tenants whose events the list is for. Default: all.
	Tenants []string `yaml:"tenants"`
}

// ListInfo is what there is to know of a loaded list.
type ListInfo struct {
	Name    string
	Kind    string
	Version string
	// Entries is the number of values as the file has them.
	Entries int
}

// nicknameList is the kind of a list of nicknames.
const nicknameList = "nickname"

// valueList is a loaded list.
type valueList struct {
	cfg     ListConfig
	hit     *pb.ListHit
	entries int
	// values has canonical values; networks has the addresses of a list of the kind ip.
	values   map[string]struct{}
	networks *ranges
}

// loadValueList reads and canonicalises one list.
func loadValueList(cfg ListConfig, looks *lookAlikes, kinds *features.Kinds, dir string) (*valueList, error) {
	if err := cfg.check(kinds); err != nil {
		return nil, err
	}
	in, hash, err := openList(cfg.Path, dir)
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", cfg.Name, err)
	}
	l := &valueList{cfg: cfg, hit: &pb.ListHit{List: cfg.Name, Version: hash, Kind: cfg.Kind}}
	if cfg.Kind == "ip" && cfg.Form != "alias" {
		l.networks, l.entries, err = parseRanges(in, cfg.Path)
	} else {
		err = l.parseValues(in, looks)
	}
	if err != nil {
		return nil, fmt.Errorf("list %q: %w", cfg.Name, err)
	}
	return l, nil
}

func (cfg ListConfig) check(kinds *features.Kinds) error {
	if !versionName.MatchString(cfg.Name) {
		return fmt.Errorf("list %q: the name must match %s", cfg.Name, versionName)
	}
	if _, ok := kinds.Get(cfg.Kind); !ok && cfg.Kind != nicknameList {
		return fmt.Errorf("list %q: unknown kind %q: an entity kind or nickname", cfg.Name, cfg.Kind)
	}
	if !slices.Contains([]string{"", "raw", "alias"}, cfg.Form) {
		return fmt.Errorf("list %q: form %q must be raw or alias", cfg.Name, cfg.Form)
	}
	return nil
}

// parseValues reads one value a line in the form that events are compared in.
func (l *valueList) parseValues(in io.Reader, looks *lookAlikes) error {
	l.values = map[string]struct{}{}
	return eachLine(in, l.cfg.Path, func(line string) error {
		l.entries++
		value := line
		switch {
		case l.cfg.Kind == nicknameList:
			value = looks.skeleton(line)
		case l.cfg.Form != "alias":
			canonical, problem := canonicalValue(l.cfg.Kind, line)
			if problem != "" {
				return fmt.Errorf("the value %s", problem)
			}
			value = canonical
		}
		if l.cfg.Kind != nicknameList {
			if err := checkID("the value", value, MaxText); err != nil {
				return fmt.Errorf("no event can have it: %w", err)
			}
		}
		l.values[value] = struct{}{}
		return nil
	})
}

// holds says whether the list has the value; addr is the value of a raw ip.
func (l *valueList) holds(value string, addr netip.Addr) bool {
	if l.networks != nil {
		return addr.IsValid() && l.networks.contains(addr)
	}
	_, ok := l.values[value]
	return ok
}

// listKey is what an identifier is looked up by.
type listKey struct {
	kind string
	form pb.Form
}

// tenantLists are one tenant's lists by what they hold, in the configuration's order.
type tenantLists map[listKey][]*valueList

func newTenantLists(tenant string, all []*valueList) tenantLists {
	lists := tenantLists{}
	for _, l := range all {
		if len(l.cfg.Tenants) > 0 && !slices.Contains(l.cfg.Tenants, tenant) {
			continue
		}
		key := listKey{l.cfg.Kind, pb.Form_FORM_RAW}
		if l.cfg.Form == "alias" {
			key.form = pb.Form_FORM_ALIAS
		}
		lists[key] = append(lists[key], l)
	}
	return lists
}

// hits appends the lists that hold the value. The hits are shared between events, which nobody changes.
func (t tenantLists) hits(to []*pb.ListHit, kind string, form pb.Form, value string, addr netip.Addr) []*pb.ListHit {
	for _, l := range t[listKey{kind, form}] {
		if l.holds(value, addr) {
			to = append(to, l.hit)
		}
	}
	return to
}
