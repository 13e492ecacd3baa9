@_exported public import TesseraCheckpoints
@_exported public import TesseraCore
@_exported public import TesseraDatasets
@_exported public import TesseraImages
@_exported public import TesseraRules
@_exported public import TesseraSequences
@_exported public import TesseraTokenizers
