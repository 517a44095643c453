package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"pitboss/features"
)

// finalEntities are the entities whose features --final prints: all that events named, of the kinds that the set has windows
// of. They are in memory, about 150 bytes each; their windows need not be.
type finalEntities struct {
	kinds map[string]bool
	all   map[features.EntityKey]finalEntity
	last  int64
}

type finalEntity struct{ tenant, kind, alias string }

func (f *finalEntities) start(set *features.Set) {
	f.kinds, f.all = map[string]bool{}, map[features.EntityKey]finalEntity{}
	for _, info := range set.Features {
		f.kinds[info.Kind] = true
	}
}

// note keeps what an event names.
func (f *finalEntities) note(ev *features.Event) {
	f.last = max(f.last, ev.OccurredAt)
	for _, ref := range ev.Entities {
		if _, known := f.all[ref.Key]; !known && f.kinds[ref.Kind] {
			f.all[ref.Key] = finalEntity{strings.Clone(ev.Tenant), ref.Kind, strings.Clone(ref.Alias)}
		}
	}
}

// writeFinal writes each entity's features as they are at the time of the last event, by tenant, kind and alias.
func (e *evaluation) writeFinal(ctx context.Context) error {
	type keyed struct {
		key features.EntityKey
		finalEntity
	}
	list := make([]keyed, 0, len(e.final.all))
	for key, entity := range e.final.all {
		list = append(list, keyed{key, entity})
	}
	slices.SortFunc(list, func(a, b keyed) int {
		return slices.Compare([]string{a.tenant, a.kind, a.alias}, []string{b.tenant, b.kind, b.alias})
	})
	for _, k := range list {
		ref := features.EntityRef{Key: k.key, Kind: k.kind, Alias: k.alias}
		if err := e.engine.Features(ctx, ref, e.final.last, e.set, &e.vec); err != nil {
			return fmt.Errorf("cannot read the features of %s %s: %w", k.kind, k.alias, err)
		}
		if err := e.rows.out.WriteLed([]string{k.tenant, k.kind, k.alias}, &e.vec, nil); err != nil {
			return err
		}
	}
	return nil
}
