//go:build !amd64

package cache

func prefetch(*byte) {}
