import CHDF5
public import TesseraCore

/// Why an HDF5 file cannot be read, in one line: `model.h5: dense/kernel: could not …: …`.
public struct HDF5Error: ClassifiedError, Hashable {
  /// The file as the user named it.
  public let file: String
  /// The path of the object inside the file; empty for the file itself.
  public let place: String
  /// What is wrong and what to do, without a full stop.
  public let cause: String

  /// Creates an error about an object of a file.
  public init(file: String, place: String, cause: String) {
    self.file = file
    self.place = place
    self.cause = cause
  }

  /// Always a malformed or unsafe file.
  public var kind: FailureKind { .malformedInput }

  /// File, place and cause on one line.
  public var description: String {
    place.isEmpty ? "\(file): \(cause)" : "\(file): \(place): \(cause)"
  }
}

extension HDF5Error {
  /// The error of the library call that failed last on this thread; to be made right after it.
  package static func afterFailure(to attempt: String, file: String, place: String = "")
    -> HDF5Error
  {
    let words = HDF5.describeFailure()
    var cause = words.isEmpty ? "could not \(attempt)" : "could not \(attempt): \(words)"
    if words.contains("version") { cause += newerFormat }
    return HDF5Error(file: file, place: place, cause: cause)
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
