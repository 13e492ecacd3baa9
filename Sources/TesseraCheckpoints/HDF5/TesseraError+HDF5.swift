import CHDF5
package import TesseraCore

extension TesseraError {
  /// The error of the library call that failed last on this thread; to be made right after it.
  package static func afterFailure(to attempt: String, file: String, place: String = "")
    -> TesseraError
  {
    let words = HDF5.describeFailure()
    var cause = words.isEmpty ? "could not \(attempt)" : "could not \(attempt): \(words)"
    if words.contains("version") { cause += newerFormat }
    return TesseraError.malformed(cause, file: file, place: place)
  }

  /// What to do where the library does not know the version of a structure of the file.
  private static var newerFormat: String {
    var (major, minor, release): (UInt32, UInt32, UInt32) = (0, 0, 0)
    guard unsafe H5get_libversion(&major, &minor, &release) >= 0 else { return "" }
    return
      "; newer than HDF5 \(major).\(minor).\(release) reads, or damaged: write the arrays again with "
      + "h5py: h5py.File(NAME, 'w', libver='v110') and create_dataset"
  }
}
