// Package control is the control process's end of the gateway.
package control
