internal import Foundation
internal import Synchronization
import TesseraDatasets

extension FuzzTarget {
  /// The readers of datasets: one for each layout, whose input is `dataset.json` and the files that it
  /// names.
  static let datasets: [FuzzTarget] = DatasetFormat.allCases.map { format in
    FuzzTarget(name: name(of: format), form: .folder) { path in
      let dataset = try opened(path)
      // The manifest is read by every layout's target: each keeps to its own layout.
      guard try dataset.format() == format else { throw EndOfReading() }
      _ = try DatasetVerification(of: dataset).contradictions()
      var bytes = 0
      try dataset.rows().forEach { row in
        bytes += row.cells.reduce(row.key.utf8.count) { $0 + $1.bytes.count }
        guard bytes < mostBytes else { throw EndOfReading() }
      }
      guard format == .webdataset else { return }
      for shard in dataset.manifest.shards.prefix(4) {
        for sample in try dataset.samples(of: shard).prefix(64) { _ = try sample.description() }
      }
    }
  }

  /// What is read of a dataset before it counts as read.
  private static let mostBytes = 1 << 22

  /// Datasets by their manifest, which takes longer to read than the files: most inputs share one.
  private static let known = Mutex<[Data: TokenDataset]>([:])

  private static func opened(_ path: String) throws -> TokenDataset {
    let file = URL(filePath: "\(path)/\(DatasetManifest.fileName)")
    guard let manifest = try? Data(contentsOf: file) else { return try TokenDataset(path: path) }
    if let dataset = known.withLock({ $0[manifest] }), dataset.path == path { return dataset }
    let dataset = try TokenDataset(path: path)
    known.withLock { known in
      if known.count >= 256 { known = [:] }
      known[manifest] = dataset
    }
    return dataset
  }
}
