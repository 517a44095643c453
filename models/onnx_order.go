package models

import (
	"fmt"
	"math"
	"slices"
	"unsafe"
)

// order returns the nodes that the roots lead to, children before parents. A node among its own descendants is an error.
func (t *onnxTrees) order() ([]int32, error) {
	const unseen, open, done = 0, 1, 2
	state := make([]uint8, len(t.nodes))
	order := make([]int32, 0, len(t.nodes))
	var stack []int32
	for _, root := range t.roots {
		stack = append(stack[:0], root)
		for len(stack) > 0 {
			v := stack[len(stack)-1]
			if v < 0 || state[v] == done {
				stack = stack[:len(stack)-1]
				continue
			}
			if state[v] == open { // its children are done
				state[v] = done
				order = append(order, v)
				continue
			}
			state[v] = open
			for _, child := range [2]int32{t.nodes[v].yes, t.nodes[v].no} {
				if child >= 0 && state[child] == open {
					return nil, fmt.Errorf("%w: node %d is among its own descendants", errONNX, child)
				}
				if child >= 0 && state[child] == unseen {
					stack = append(stack, child)
				}
			}
		}
	}
	return order, nil
}

// nodeShape is what makes two nodes the same, with the numbers of their children in place of the children.
type nodeShape struct {
	value   uint64
	members string
	column  int32
	yes, no int32
	mode    branchMode
	missing bool
}

// sameTrees numbers nodes and leaves so that those with the same tree below them have the same number.
type sameTrees struct{ nodes, leaves []int32 }

// number gives the number of a child, which is negative for a leaf.
func (s *sameTrees) number(child int32) int32 {
	if child < 0 {
		return ^s.leaves[^child]
	}
	return s.nodes[child]
}

// alike finds the trees that are the same. Only tests for equality need to know; where there are none, it returns nil.
func (t *onnxTrees) alike(order []int32) *sameTrees {
	if !slices.ContainsFunc(t.nodes, func(n onnxNode) bool { return n.mode >= branchEQ }) {
		return nil
	}
	same := &sameTrees{nodes: make([]int32, len(t.nodes)), leaves: t.alikeLeaves()}
	seen := map[nodeShape]int32{}
	for _, v := range order {
		n := &t.nodes[v]
		k := nodeShape{value: math.Float64bits(n.value), column: n.column, yes: same.number(n.yes), no: same.number(n.no),
			mode: n.mode, missing: n.missing, members: floatBytes(t.members[n.member:n.end])}
		first, found := seen[k]
		if !found {
			first = v
			seen[k] = v
		}
		same.nodes[v] = first
	}
	return same
}

// alikeLeaves numbers the leaves by what they add.
func (t *onnxTrees) alikeLeaves() []int32 {
	same := make([]int32, len(t.leafOf)-1)
	seen := map[string]int32{}
	for l := range same {
		weights := t.weights[t.leafOf[l]:t.leafOf[l+1]]
		var key []byte
		for _, w := range weights {
			key = fmt.Appendf(key, "%d:%x ", w.output, math.Float64bits(w.value))
		}
		first, found := seen[string(key)]
		if !found {
			first = int32(l)
			seen[string(key)] = first
		}
		same[l] = first
	}
	return same
}

// floatBytes makes a key of numbers.
func floatBytes(values []float64) string {
	key := make([]byte, 0, len(values)*int(unsafe.Sizeof(float64(0))))
	for _, v := range values {
		key = fmt.Appendf(key, "%x ", math.Float64bits(v))
	}
	return string(key)
}
