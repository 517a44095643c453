package features

import (
	"fmt"
	"slices"
	"strings"
)

// ListHits is the Source "lists": whether a configured list held one of the event's raw values when it came in. The edge
// looked it up, before hashing; the key is the list's name and the value 1 or 0.
type ListHits struct {
	// Names are the lists that the edge looks up. A set that names another one does not compile: it would read 0 for ever.
	Names []string
}

// Name is "lists".
func (ListHits) Name() string { return "lists" }

// Check says whether the list is configured.
func (l ListHits) Check(key string) error {
	if slices.Contains(l.Names, key) {
		return nil
	}
	if len(l.Names) == 0 {
		return fmt.Errorf("no list %q: none is configured (edge.lists)", key)
	}
	return fmt.Errorf("no list %q among the configured ones: %s", key, strings.Join(l.Names, ", "))
}

// Value is 1 where the list held a value of the event, with the list's version, and 0 where it did not.
func (ListHits) Value(ev *Event, key string) (float64, Status, string) {
	for _, hit := range ev.Msg.GetEnrichment().GetListHits() {
		if hit.GetList() == key {
			return 1, Present, hit.GetVersion()
		}
	}
	return 0, Present, ""
}

var _ Source = ListHits{}
