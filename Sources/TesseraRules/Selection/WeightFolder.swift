import Foundation
import TesseraCheckpoints
package import TesseraCore

/// A folder of a training run in which every file, or every folder, is a set of weights.
///
/// diffusers writes `unet` and `unet_ema`; consistency models `model100.pt`, `ema_0.9999_100.pt`,
/// `target_model100.pt` and `opt100.pt`.
package enum WeightFolder {
  /// The path of the one average in a folder; nil where no name says that it is one.
  ///
  /// - Parameter folder: A folder.
  /// - Returns: A path in the folder.
  /// - Throws: `TesseraError` where several are averages of the same kind.
  package static func average(in folder: String) throws(TesseraError) -> String? {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    let candidates = names.sorted().filter { isWeights($0, in: folder) }.compactMap { name in
      WeightCandidate.all(amongNames: ["\(stem(of: name)).weight"]).first.map {
        (name: name, role: $0.role)
      }
    }
    let score = candidates.map(\.role.score).max() ?? 0
    guard score >= WeightCandidate.Role.average.score else { return nil }
    let found = candidates.filter { $0.role.score == score }
    guard found.count == 1, let only = found.first else {
      throw TesseraError.selection(
        "--pick ema is ambiguous: \(found.count) files or folders in '\(folder)' have the score "
          + "\(score) (\(found[0].role.rawValue)); name one as the input",
        among: found.map(\.name)
      )
    }
    return "\(folder)/\(only.name)"
  }

  /// A name without its ending and without what would be parts of a tensor's name.
  private static func stem(of name: String) -> String {
    let endings = Checkpoint.endings.filter { name.hasSuffix($0) }
    let stem = name.dropLast(endings.map(\.count).max() ?? 0)
    return String(stem.map { $0 == "." || $0 == "-" ? "_" : $0 })
  }

  private static func isWeights(_ name: String, in folder: String) -> Bool {
    if name.hasPrefix(".") || name.hasSuffix(Checkpoint.originalsEnding) { return false }
    return Checkpoint.isFolder("\(folder)/\(name)")
      || Checkpoint.endings.contains { name.hasSuffix($0) }
  }
}
