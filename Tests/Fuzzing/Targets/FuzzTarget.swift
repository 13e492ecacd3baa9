internal import Foundation
import TesseraCheckpoints
public import TesseraCore
public import TesseraDatasets

/// One way from bytes of others into the program, as the fuzzer and the replay of its corpus run it.
public struct FuzzTarget: Sendable {
  /// The name, which the target's corpus and seeds have too.
  public let name: String
  /// How an input becomes files.
  public let form: Form
  /// What the input is read as.
  let read: @Sendable (String) throws -> Void

  /// How an input becomes files.
  public enum Form: Hashable, Sendable {
    /// The bytes are one file of this name.
    case file(String)
    /// The bytes are several files, as ``FuzzFiles`` divides them; the reader gets their folder.
    case folder
  }

  /// What came of an input.
  public enum Outcome: Hashable, Sendable {
    /// It was read to its end.
    case accepted
    /// It was refused in one line, with this exit code.
    case refused(FailureKind)
    /// What no input may do: the words say what was seen.
    case finding(String)
  }

  /// Whether the input is read by libhdf5, whose own crashes end the process.
  public var usesHDF5: Bool { ["hdf5", "keras", "dataset-hdf5"].contains(name) }

  /// Reads one input; a trap ends the process.
  public func run(_ bytes: [UInt8], in folder: FuzzFolder) -> Outcome {
    do {
      let path = try folder.fill(form, bytes)
      defer { folder.empty() }
      try read(path)
      return .accepted
    } catch is EndOfReading {
      return .accepted
    } catch let error as TesseraError {
      return outcome(of: error)
    } catch {
      return .finding("an error without an exit code: \(type(of: error)): \(error)")
    }
  }

  private func outcome(of error: TesseraError) -> Outcome {
    let text = error.description
    if text.isEmpty { return .finding("an error without words") }
    if text.utf8.count > Self.longestError {
      return .finding("an error of \(text.utf8.count) bytes")
    }
    // The file is there and whole: nothing that stands in it is a fault of this machine. A folder's
    // files may name others that are not there.
    if error.code != 0, !(form == .folder && error.isAboutName) {
      return .finding("content that counts as a fault of the machine: \(text)")
    }
    return .refused(error.kind)
  }

  /// The most bytes of an error's line; names in it come from the file.
  private static let longestError = 1 << 16

  /// All targets.
  public static let all: [FuzzTarget] = checkpoints + images + texts + captions + datasets

  /// The target of a layout of datasets.
  public static func name(of format: DatasetFormat) -> String { "dataset-\(format.rawValue)" }

  /// The targets that open files of an ending of checkpoints; none where the table lacks it.
  public static func names(ofEnding ending: String) -> [String] { endings[ending] ?? [] }

  /// The endings by which a folder is searched for a checkpoint, or that a conversion writes.
  public static var checkpointEndings: Set<String> {
    Set(Checkpoint.endings).union(CheckpointFormat.endings)
  }
}

/// Thrown by a target that has read enough of an input.
struct EndOfReading: Error {}

extension TesseraError {
  /// Whether a name leads to no regular file.
  fileprivate var isAboutName: Bool {
    [ENOENT, ENOTDIR, EISDIR, EINVAL, ENAMETOOLONG, ELOOP, EEXIST].contains(code)
  }
}
