package import CHDF5
package import TesseraCore

extension FileRegion {
  /// Opens the region as an HDF5 file; negative where libhdf5 refuses it.
  package func openedAsHDF5() -> hid_t {
    guard let bytes = unsafe memory?.baseAddress else {
      return chdf5_open(descriptor, UInt64(start), UInt64(length))
    }
    return unsafe chdf5_open_memory(bytes, UInt64(length))
  }
}
