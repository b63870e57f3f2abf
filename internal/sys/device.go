package sys

import "golang.org/x/sys/unix"

// DeviceNumbers takes a device number apart (man 3 makedev).
func DeviceNumbers(dev uint64) (major, minor int64) {
	return int64(unix.Major(dev)), int64(unix.Minor(dev))
}
