// Package disk makes, replaces, keeps and removes the folders of instances.
package disk
