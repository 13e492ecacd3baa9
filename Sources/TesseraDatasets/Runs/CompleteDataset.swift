import Foundation
import TesseraCore

extension DatasetFolder {
  /// Makes sure that every file of a finished dataset is there, in the size that its manifest states: a run
  /// that has nothing to do promises as much as one that did the work.
  ///
  /// - Throws: `TesseraError` with the file that is missing or cut.
  package func checkFiles() throws {
    let dataset = DatasetVerification(of: try TokenDataset(path: path))
    try dataset.files.forEach(check)
    if let fault = try dataset.forEachListed(check) {
      throw TesseraError.damaged(file: "\(path)/\(DatasetFileList.fileName)", reason: fault)
    }
  }

  private func check(_ file: DatasetFile) throws {
    let place = "\(path)/\(file.name)"
    guard FileTree.size(of: place) == file.bytes else {
      let reason = "missing, or not of the size that the dataset states"
      throw TesseraError.damaged(file: place, reason: reason)
    }
  }
}
