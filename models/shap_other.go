//go:build !amd64

package models

// widestLanes is 1: there is no vector kernel for this architecture.
const widestLanes = 1

func (k *kernel) downVector(kind stepKind, steps []step) { k.downScalar(kind, steps) }
func (k *kernel) upVector(kind stepKind, steps []step)   { k.upScalar(kind, steps) }
