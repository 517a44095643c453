package server

import (
	"slices"
	"testing"
)

// TableEntry is a row of the table of routes, for the tests that walk it from outside.
type TableEntry struct {
	Name, Method, Pattern string
	Right                 Right
	RPCs                  []string
}

// Table gives the table of routes.
func Table() []TableEntry {
	var entries []TableEntry
	for _, r := range routes() {
		entries = append(entries, TableEntry{r.name, r.method, r.pattern, r.right, r.rpcs})
	}
	return entries
}

// RolesWith gives the roles that have a right, and those that have not.
func RolesWith(r Right) (with, without []string) {
	for name, rights := range roles() {
		if slices.Contains(rights, r) {
			with = append(with, name)
		} else {
			without = append(without, name)
		}
	}
	slices.Sort(with)
	slices.Sort(without)
	return with, without
}

// RPCs gives every method that the gRPC server serves.
func (s *Server) RPCs() []string {
	var names []string
	g := s.newGRPC()
	defer g.Stop()
	for service, info := range g.GetServiceInfo() {
		for _, m := range info.Methods {
			names = append(names, "/"+service+"/"+m.Name)
		}
	}
	slices.Sort(names)
	return names
}

func TestTheTableOfRoutesIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range routes() {
		if seen[r.name] || r.name == "" || r.name == unrouted().name {
			t.Errorf("the name %q is used twice, or taken", r.name)
		}
		seen[r.name] = true
		if (r.pattern == "") != (r.serve == nil) || (r.pattern == "") != (r.method == "") || r.pattern == "" && len(r.rpcs) == 0 {
			t.Errorf("%s: an HTTP request has method, pattern and serve, and a call is reached somehow", r.name)
		}
		if with, _ := RolesWith(r.right); r.right != Public && len(with) == 0 {
			t.Errorf("%s: no role has the right %s", r.name, r.right)
		}
	}
}
